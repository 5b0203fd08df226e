"""Completion by Tab: the script of bash is asked as bash asks it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from vidya.terminal.command_line import Subcommands, parse
from vidya.terminal.shell_completion import completion_script


@dataclass(frozen=True)
class Options:
    """Brew a cup of tea."""

    sort: Literal["green", "black"] = "green"
    """Of tea, 100 % of it."""
    pot: Path | None = None
    """What to
    brew it in."""
    milk: bool = False
    """Add milk."""


def brew():
    parse(Options, "brew", positional="pot")


def kitchen():
    app = Subcommands("kitchen", "What a kitchen does.")

    @app.command
    def fry(*, eggs: int = 2) -> None:
        """Fry eggs.

        Args:
            eggs: how many.
        """

    app.run()


def script(shell):
    what = {"brew": "brew tea", "kitchen": "all else"}
    return completion_script(shell, {"brew": brew, "kitchen": kitchen}, what)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("b", {"brew"}),
        ("brew --", {"--sort", "--milk", "--help", "--help-all"}),
        ("brew --sort ", {"green", "black"}),
        ("brew te", {"teapot"}),
        ("kitchen ", {"fry"}),
        ("kitchen fry --e", {"--eggs"}),
    ],
)
def test_what_bash_offers(tmp_path, typed, offered):
    (tmp_path / "teapot").touch()
    words = ["vidya", *typed.split(" ")]
    ask = f'COMP_WORDS=("$@"); COMP_CWORD={len(words) - 1}; COMPREPLY=(); _shtab_vidya vidya '
    ask += '"${COMP_WORDS[COMP_CWORD]}"; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(
        ["bash", "--norc", "-c", f"{script('bash')}\n{ask}", *words[:1], *words],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert set(done.stdout.split()) - {"-h"} == offered, done.stderr


@pytest.mark.parametrize(("shell", "begins"), [("zsh", "#compdef vidya"), ("fish", "# AUTO")])
def test_the_scripts_of_other_shells(shell, begins):
    text = script(shell)
    assert text.startswith(begins) and "eggs" in text and "black" in text
