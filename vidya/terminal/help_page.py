"""What `--help` shows of a command: usage, examples, and its options in groups.

A page of many options is short: a sentence an option, the names alone of those that few people
need. `--help-all` then tells everything. All of it is wrapped to the terminal.
"""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vidya.terminal.option_texts import OptionText

WIDEST = 100
"""Columns that a page takes at most: longer lines are hard to read."""
NARROWEST = 40
SHORT, WHOLE = ("-h", "--help"), ("--help-all",)
_TEXT_COLUMN = 26
_OWN_CALL = re.compile(r":? `python -m vidya[^`]*`(?=\.|$)")


@dataclass(frozen=True)
class HelpPage:
    """What a command wants on its page beside its options."""

    examples: tuple[tuple[str, str], ...] = ()
    """What to type after the command's name, and what that does."""
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Fields under headings, in their order. Those of the last heading, and any that stand under
    none, are for experts: a short page only names them. No groups: every page is whole."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    """What fields are by default, where their own default does not say it."""


def wants_help(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for help."""
    return any(word in (*SHORT, *WHOLE) for word in arguments)


def help_text(
    called: str,
    description: str,
    options: Sequence[OptionText],
    page: HelpPage,
    *,
    whole: bool,
    columns: int | None = None,
) -> str:
    """The page of a command.

    Args:
        called: the command as it was called: `vidya train`.
        description: what the command is for; its first paragraph alone is on a short page.
        options: all that it has.
        page: its examples and groups.
        whole: all that is known, not a short page.
        columns: width of the page; default: the terminal's.
    """
    width = page_width() if columns is None else columns
    groups = _grouped(options, page)
    short = bool(page.groups) and not whole
    parts = [usage(called, options, width), describe(description, width, short=short)]
    if page.examples:
        rows = [(f"{called} {line}".rstrip(), what) for line, what in page.examples]
        longest = max(len(call) for call, _ in rows)
        parts.append(
            "\n".join(["examples:", *_rows(rows, min(longest + 4, 3 * width // 5), width)])
        )
    *usual, (last, few) = groups.items()
    for title, some in usual if page.groups else groups.items():
        rows = [(one.invocation, _told(one, short=short)) for one in some]
        parts.append("\n".join([f"{title}:", *_rows(rows, _TEXT_COLUMN, width)]))
    if page.groups and few:
        rows = [(one.invocation, _told(one, short=False)) for one in few]
        names = _wrapped(" ".join(one.called for one in few), width, "  ")
        lines = names if short else _rows(rows, _TEXT_COLUMN, width)
        heading = f"{last} ({WHOLE[0]} explains them):" if short else f"{last}:"
        parts.append("\n".join([heading, *lines]))
    if short:
        parts.append(
            "\n".join(
                _wrapped(
                    f"{WHOLE[0]} tells more of every option; docs/GLOSSARY.md explains the words.",
                    width,
                    "",
                )
            )
        )
    return "\n\n".join(part for part in parts if part)


def page_width() -> int:
    """Columns of a page in this terminal."""
    return min(WIDEST, max(NARROWEST, shutil.get_terminal_size().columns))


def usage(called: str, options: Sequence[OptionText], width: int) -> str:
    """The line that shows how the command is called."""
    words = [
        f"usage: {called}",
        *(o.invocation for o in options if o.required and not o.positional),
    ]
    words.append("[OPTIONS]")
    for one in options:
        if one.positional:
            words.append(one.invocation if one.required else f"[{one.invocation}]")
    return "\n".join(_wrapped(" ".join(words), width, "", "    "))


def describe(text: str, width: int, *, short: bool) -> str:
    """A docstring as paragraphs and points of a list, each wrapped; the first one alone if short.

    How the command is called is left out of it: the line of its usage says that.
    """
    paragraphs: list[str] = []
    for block in re.split(r"\n\s*\n|\n(?=- )", textwrap.dedent(_OWN_CALL.sub("", text)).strip()):
        if paragraphs and short:
            break
        one = " ".join(block.split())
        inner = "  " if one.startswith("- ") else ""
        joint = "" if not paragraphs else "\n" if inner and block.startswith("-") else "\n\n"
        if joint == "\n" and not paragraphs[-1].lstrip("\n").startswith("- "):
            joint = "\n\n"
        paragraphs.append(joint + "\n".join(_wrapped(one, width, "", inner)))
    return "".join(paragraphs)


def _grouped(options: Sequence[OptionText], page: HelpPage) -> dict[str, list[OptionText]]:
    if not page.groups:
        return {"options": list(options)}
    by_field = {one.field: one for one in options}
    groups = {
        title: [by_field.pop(name) for name in names if name in by_field]
        for title, names in page.groups.items()
    }
    first, *_, last = groups
    rest = list(by_field.values())
    groups[first] = [*(one for one in rest if one.positional), *groups[first]]
    groups[last] += [one for one in rest if not one.positional]
    return {title: some for title, some in groups.items() if some or title == last}


def _told(option: OptionText, *, short: bool) -> str:
    text = option.first_sentence if short else option.text
    default = f" (default: {option.default})" if option.default else ""
    return text.removesuffix("." if default else "") + default


def _rows(rows: Sequence[tuple[str, str]], column: int, width: int) -> list[str]:
    """Names to the left and texts to the right; below each other where there is no room."""
    if width < 2 * column:
        column = 6
    lines: list[str] = []
    for name, text in rows:
        beside = len(name) + 4 <= column
        first = f"  {name}".ljust(column) if beside else " " * column
        wrapped = _wrapped(text, width, first, " " * column)
        lines += wrapped if beside else [*_wrapped(name, width, "  ", "      "), *wrapped]
    return lines


def _wrapped(text: str, width: int, first: str, others: str | None = None) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=first if others is None else others,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
