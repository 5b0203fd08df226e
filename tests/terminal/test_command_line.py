"""Command lines from dataclasses: values, help, and errors of one line."""

import dataclasses
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from vidya.errors import UserError
from vidya.terminal.command_line import Subcommands, as_called, declared_by, parse


@dataclass(frozen=True)
class Options:
    """Brew a cup of tea.

    Or of coffee.
    """

    sort: str = "green"
    """Of tea."""
    cups: int = 1
    """How many."""
    sugar_g: float | None = None
    """Grams of sugar. Default: none."""
    spoons: tuple[Path, ...] = ()
    """To stir with."""
    milk: bool = False
    """Add milk."""


@pytest.fixture
def parsed(monkeypatch):
    """Parses the words it is called with as `Options`."""

    def run(line, **more):
        monkeypatch.setattr(sys, "argv", ["vidya brew", *line.split()])
        return parse(Options, "brew", **more)

    return run


def error_of(parsed, line):
    with pytest.raises(UserError) as error:
        parsed(line)
    message = str(error.value)
    assert "\n" not in message and not set(message) & set("│╭╰─")
    assert message.endswith(" (vidya brew --help lists all)")
    return message.removesuffix(" (vidya brew --help lists all)")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", Options()),
        ("--sort black --cups 3", Options("black", 3)),
        ("--cups=3", Options(cups=3)),
        ("--sugar-g 2.5", Options(sugar_g=2.5)),
        ("--sugar_g 2.5", Options(sugar_g=2.5)),
        ("--spoons a b/c --milk", Options(spoons=(Path("a"), Path("b/c")), milk=True)),
        ("--cups 1 --cups 2", Options(cups=2)),
    ],
)
def test_values(parsed, line, expected):
    assert parsed(line) == expected


def test_a_path_has_a_name_and_a_home(monkeypatch):
    """Bash leaves `~` in `--spoons=~/x`; a folder of that name is deleted at one's peril."""
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setattr(sys, "argv", ["vidya brew", "--spoons", "~/x", "./~", "a~"])
    assert parse(Options, "brew").spoons == (Path("/home/me/x"), Path("~"), Path("a~"))
    one = dataclasses.make_dataclass("One", [("pot", Path, Path("runs"))])
    monkeypatch.setattr(sys, "argv", ["vidya brew", "--pot", ""])
    with pytest.raises(UserError, match="--pot: the name of a file or folder is empty"):
        parse(one, "brew")


def test_help_shows_what_a_command_alone_has_before_what_it_shares(monkeypatch, capsys):
    @dataclass(frozen=True, kw_only=True)
    class Teapot(Options):
        lid: bool = True

    monkeypatch.setattr(sys, "argv", ["vidya brew", "--help"])
    with pytest.raises(SystemExit):
        parse(Teapot, "brew")
    out = capsys.readouterr().out
    lid = out.index("--[no-]lid")  # a switch that is on
    assert out[lid:].split("\n")[0].endswith("(default: on)")
    assert 0 < lid < out.index("--sort") < out.index("--cups") < out.index("--milk")
    assert [field.name for field in dataclasses.fields(Teapot)][-1] == "lid"


def test_what_is_not_given_is_the_default_that_is_passed(parsed):
    default = Options("black", 5, 1.5, (Path("s"),), True)
    assert parsed("", default=default) == default
    expected = Options("green", 5, 1.5, (Path("s"),), False)
    assert parsed("--sort green --no-milk", default=default) == expected


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--cups many", "many"),
        ("--cups 1.5", "1.5"),
        ("--cups", "--cups"),
        ("--sugar-g None", "None"),
        ("--sorts green", "there is no option --sorts: did you mean --sort?"),
        ("--output x", "there is no option --output"),
        ("--no-cup", "there is no option --no-cup"),
        ("-x", "there is no option -x"),
        ("stray", "'stray' belongs to no option"),
        ("cups", "'cups' belongs to no option: did you mean --cups?"),
        ("--milk=yes", "--milk takes no value: give it alone, or leave it out"),
        ("--cups 1,000", "--cups: '1,000' is no whole number: write 1000"),
        ("--cups 2k", "--cups: '2k' is no whole number: write 2000"),
        ("--cups", "--cups has no value: --cups N"),
        ("--sugar-g 0,5", "--sugar-g: '0,5' is no number: write 0.5"),
        ("--spoons a --cups 2 --spoons b", "--spoons is given 2 times: give it once, with all its"),
        ("--spoons=a --spoons=b --spoons=c", "--spoons is given 3 times"),
        ("--spoons", "--spoons has no value: give one, or leave the option out"),
        ("--spoons --cups 2", "--spoons has no value"),
    ],
)
def test_errors(parsed, line, says):
    assert says in error_of(parsed, line)


def test_help_is_complete(parsed, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as leaving:
        parsed("--help")
    assert leaving.value.code == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.startswith("usage: vidya brew [OPTIONS]\n\nBrew a cup of tea.\n")
    for words in (
        "--sort TEXT ", "--cups N ", "--sugar-g NUMBER ", "--spoons PATH ... ", "--milk ",
        "Of tea (default: green)", "How many (default: 1)", "Grams of sugar (default: none)",
        "To stir with.\n", "Add milk.\n",
    ):  # fmt: skip
        assert words in captured.out
    assert "None" not in captured.out


@pytest.fixture
def app(monkeypatch):
    """Runs a command with two subcommands, which note what they were called with."""
    calls = []

    def run(line):
        monkeypatch.setattr(sys, "argv", ["vidya kitchen", *line.split()])
        commands = Subcommands("kitchen", "What a kitchen does.")

        @commands.command
        def brew(cups: int = 1, *, sort: str | None = None) -> None:
            """Brew tea.

            Args:
                cups: how many.
                sort: of tea.
            """
            calls.append(("brew", cups, sort))

        @commands.command
        def fry(eggs: int = 2) -> None:
            """Fry eggs."""
            if not eggs:
                raise UserError("no egg: buy some")
            if eggs > 9:
                sys.exit(2)
            calls.append(("fry", eggs))

        commands.run()
        return calls

    return run


def test_subcommands(app):
    assert app("brew --cups 3 --sort black") == [("brew", 3, "black")]
    assert app("fry") == [("brew", 3, "black"), ("fry", 2)]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "say which: vidya kitchen brew or fry"),
        ("boil", "there is no vidya kitchen boil: choose brew or fry (vidya kitchen --help"),
        ("fryy", "there is no vidya kitchen fryy: did you mean fry?"),
        ("brew --eggs 3", "there is no option --eggs (vidya kitchen brew --help lists all)"),
        ("fry --eggs some", "--eggs: 'some' is no whole number (vidya kitchen fry --help"),
    ],
)
def test_subcommand_errors(app, line, says):
    with pytest.raises(UserError) as error:
        app(line)
    assert "\n" not in str(error.value) and str(error.value).startswith(says)


def test_help_of_subcommands(app, capsys):
    for line, says in ("-h", "NAME is one of:\n  brew  "), ("brew --help", "--cups N  "):
        with pytest.raises(SystemExit):
            app(line)
        assert says in capsys.readouterr().out


def test_what_a_subcommand_raises_is_not_taken_for_a_wrong_command_line(app):
    with pytest.raises(UserError, match=r"^no egg: buy some$"):
        app("fry --eggs 0")
    with pytest.raises(SystemExit):
        app("fry --eggs 10")


@pytest.mark.parametrize("columns", ["1", "5", "0", "-3", "some", "300"])
def test_help_in_a_terminal_of_any_width(parsed, capsys, monkeypatch, columns):
    """In a few columns tyro alone would never end."""
    monkeypatch.setenv("COLUMNS", columns)
    with pytest.raises(SystemExit):
        parsed("--help")
    assert "--sugar-g NUMBER" in capsys.readouterr().out
    assert os.environ["COLUMNS"] == columns


@pytest.mark.parametrize("columns", ["30", "100"])
def test_help_and_errors_in_a_terminal(parsed, capsys, monkeypatch, columns):
    """tyro would colour its box, and break its words to the width of the terminal."""
    for name, value in {"TERM": "xterm", "COLUMNS": columns}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    long = "a-word-that-is-too-long-for-one-line-of-a-terminal-" * 3
    expected = f"there is no option --{long} (vidya brew --help lists all)"
    with pytest.raises(UserError, match=f"^{re.escape(expected)}$"):
        parsed(f"--{long} 3")
    with pytest.raises(SystemExit):
        parsed("--help")
    out = capsys.readouterr().out
    assert "\x1b" not in out and all(len(line) <= max(40, int(columns)) for line in out.split("\n"))


@pytest.mark.parametrize(
    ("program", "called"),
    [
        ("vidya brew", "vidya brew"),
        ("python -m vidya brew", "python -m vidya brew"),
        ("/lib/vidya/brew.py", "python -m vidya.brew"),
        ("-c", "python -m vidya.brew"),
    ],
)
def test_a_command_is_named_as_it_was_called(monkeypatch, program, called):
    monkeypatch.setattr(sys, "argv", [program])
    assert as_called("brew") == called


def test_what_a_command_declares_is_told_without_running_it():
    ran = []

    def main():
        parse(Options, "brew", positional="spoons")
        ran.append(True)

    declared = declared_by(main)
    assert (declared.target, declared.positional, ran) == (Options, "spoons", [])


def test_nothing_is_printed_beside_the_error(parsed, capfd):
    error_of(parsed, "--cups many")
    assert capfd.readouterr() == ("", "")


# ---------------------------------------------------------------- a number or a word


@dataclass(frozen=True)
class Pot:
    """Brew for so many."""

    people: Literal["all", "nobody"] | int = "all"
    """How many."""


@pytest.mark.parametrize(
    ("line", "people"),
    [("", "all"), ("--people all", "all"), ("--people nobody", "nobody"), ("--people 12", 12),
     ("--people=-3", -3), ("--people -3", -3)],
)  # fmt: skip
def test_a_number_or_a_word(monkeypatch, line, people):
    monkeypatch.setattr(sys, "argv", ["vidya brew", *line.split()])
    assert parse(Pot, "brew") == Pot(people)
    assert parse(Pot, "brew", default=Pot(5)) == Pot(people if line else 5)


@pytest.mark.parametrize("given", ["many", "1.5", "All", "0x10", ""])
def test_neither_a_number_nor_a_word(monkeypatch, given):
    monkeypatch.setattr(sys, "argv", ["vidya brew", "--people", given])
    with pytest.raises(UserError) as error:
        parse(Pot, "brew")
    assert str(error.value).startswith(
        f"--people: {given!r} is neither all nor nobody nor a whole number (vidya brew"
    )


def test_help_shows_the_words_and_the_number(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["vidya brew", "--help"])
    with pytest.raises(SystemExit):
        parse(Pot, "brew")
    assert "--people all|nobody|N" in capsys.readouterr().out
