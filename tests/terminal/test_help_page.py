"""Pages of help: groups, short and whole, and what they say of an option."""

from dataclasses import dataclass
from typing import Literal

import pytest

from vidya.terminal.help_page import HelpPage, describe, help_text
from vidya.terminal.option_texts import options_of


@dataclass(frozen=True, kw_only=True)
class Tea:
    """Brew tea."""

    sort: Literal["green", "black"] = "green"
    """Kind of tea. Green is the best by far."""
    cups: int | None = None
    """How many cups. Default: as many as there are guests, 2.5 of them."""
    sugar: float = 0.0
    """Grams of sugar."""
    words: tuple[str, ...] = ()
    """What is said over it."""


PAGE = HelpPage(
    examples=(("--cups 2", "for two"),),
    groups={"basic": ("cups",), "expert": ("sugar",)},
    defaults={"sort": "what there is"},
)


def page(*, whole, columns=80):
    options = options_of(Tea, positional="words", defaults=PAGE.defaults)
    text = "Brew tea.\n\nOr coffee: `python -m vidya.brew`."
    return help_text("vidya brew", text, options, PAGE, whole=whole, columns=columns)


def test_a_short_page():
    assert (
        page(whole=False)
        == """\
usage: vidya brew [OPTIONS] [WORD ...]

Brew tea.

examples:
  vidya brew --cups 2  for two

basic:
  WORD ...                What is said over it.
  --cups N                How many cups (default: as many as there are guests,
                          2.5 of them)

expert (--help-all explains them):
  --sugar --sort

--help-all tells more of every option; docs/GLOSSARY.md explains the words."""
    )


def test_the_whole_page():
    shown = page(whole=True)
    assert "Or coffee.\n" in shown and "--help-all" not in shown
    assert "--sort green|black      Kind of tea. Green is the best by far (default: what" in shown
    assert "--sugar NUMBER          Grams of sugar (default: 0)" in shown


@pytest.mark.parametrize("columns", [40, 60, 100])
def test_a_page_fits_its_terminal_and_breaks_at_words(columns):
    shown = page(whole=True, columns=columns)
    assert max(map(len, shown.split("\n"))) <= columns
    assert " ".join(shown.split()) == " ".join(page(whole=True).split())


def test_lists_in_a_description_are_wrapped_item_by_item():
    text = "First.\n\n- one two\n  three\n- four\n\nLast."
    assert describe(text, 12, short=False) == "First.\n\n- one two\n  three\n- four\n\nLast."
