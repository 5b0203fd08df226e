"""Command lines from dataclasses and functions through tyro, with help and errors of our own."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import functools
import inspect
import io
import itertools
import os
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from vidya.errors import UserError
from vidya.terminal.common_options import flag
from vidya.terminal.help_page import WHOLE, HelpPage, help_text, wants_help
from vidya.terminal.option_texts import OptionText, options_of
from vidya.terminal.option_values import value_rules
from vidya.terminal.streams import output_is_not_essential
from vidya.terminal.wrong_command_line import did_you_mean, one_of, what_is_wrong

T = TypeVar("T")

_NEVER_WRAPPED = "10000"
"""Columns for tyro, whose boxes are read here and seen by nobody."""


@dataclasses.dataclass
class Declared(BaseException):  # no error: it passes whatever catches those
    """What a command declares, for one who asks for that alone (`declared_by`)."""

    target: Any = None
    positional: str | None = None
    subcommands: dict[str, Callable[..., None]] = dataclasses.field(default_factory=dict)


_asked = False


def declared_by(main: Callable[[], object]) -> Declared:
    """What a command declares, of which nothing is run."""
    global _asked
    _asked = True
    try:
        main()
    except Declared as declared:
        return declared
    finally:
        _asked = False
    raise TypeError(f"{main} parses no command line")


def as_called(command: str) -> str:
    """A command as the user calls it: `vidya train`, or `python -m vidya.train`."""
    first, _, _ = sys.argv[0].partition(" ")
    if first == "vidya" or sys.argv[0].startswith("python -m vidya "):
        return sys.argv[0]
    if Path(sys.argv[0]).name == "vidya":
        return f"vidya {command}"
    return f"python -m vidya.{command}"


def parse(
    target: Callable[..., T],
    command: str,
    *,
    description: str | None = None,
    positional: str | None = None,
    page: HelpPage | None = None,
    default: Any = None,
) -> T:
    """What tyro makes of the command line for `target`.

    Args:
        target: a dataclass; its fields with their docstrings are the options.
        command: as the user calls it: `train` in `python -m vidya.train`.
        description: what --help says first; default: the docstring of `target`.
        positional: the field whose values come without a flag.
        page: what --help shows beside the options.
        default: what options have that are not given; default: what `target` says.

    Raises:
        UserError: the command line is wrong; one line, where tyro draws a box.
    """
    if _asked:
        raise Declared(target, positional)
    page = page or HelpPage()
    called, words = as_called(command), sys.argv[1:]

    def options() -> list[OptionText]:
        return options_of(target, positional=positional, defaults=page.defaults)

    if wants_help(words):
        _restore_docstring(target)
        about = description or target.__doc__ or ""
        _show(help_text(called, about, options(), page, whole=WHOLE[0] in words))
    _refuse_repeated(target, called, words)
    import tyro

    if positional:  # the class cannot say so: tyro is imported when it is needed
        marked: Any = tyro.conf.Positional
        target.__annotations__[positional] = marked[target.__annotations__[positional]]
    with _errors_in_one_line(called, words, options):
        return tyro.cli(
            target,
            prog=called,
            default=tyro.MISSING_NONPROP if default is None else default,
            registry=value_rules(),
        )


class Subcommands:
    """A command with subcommands, each a function whose parameters are its options."""

    def __init__(
        self, command: str, description: str | None, *, writes_files: bool = False
    ) -> None:
        """`command` is `data` in `python -m vidya.data`.

        With `writes_files`, what its subcommands print is not essential: the files are.
        """
        from tyro.extras import SubcommandApp

        self._command, self._description = command, description
        self._writes_files = writes_files
        self._functions: dict[str, Callable[..., None]] = {}
        self._pages: dict[str, HelpPage] = {}
        self._app = SubcommandApp()

    def command(self, function: Callable[..., None]) -> Callable[..., None]:
        """Decorator: `function` is a subcommand of its own name."""
        _restore_docstring(function)

        # Parsing and running are kept apart: only the parser's words are shortened.
        @functools.wraps(function)
        def deferred(*args: Any, **kwargs: Any) -> Callable[[], None]:
            return functools.partial(function, *args, **kwargs)

        self._app.command(deferred)
        self._functions[function.__name__] = function
        return function

    def with_examples(
        self, *examples: tuple[str, str]
    ) -> Callable[[Callable[..., None]], Callable[..., None]]:
        """Decorator: `command`, with examples for its --help."""

        def declare(function: Callable[..., None]) -> Callable[..., None]:
            self._pages[function.__name__] = HelpPage(examples)
            return self.command(function)

        return declare

    def run(self) -> None:
        """Parse the command line and run the subcommand that it names.

        Raises:
            UserError: as `parse`, or what the subcommand raises.
        """
        if _asked:
            raise Declared(subcommands=self._functions)
        called, (name, *words) = as_called(self._command), sys.argv[1:] or [""]
        function = self._functions.get(name)
        if function is None:
            if wants_help([name]):
                _show(self._overview(called))
            raise UserError(self._no_subcommand(name, called))

        def options() -> list[OptionText]:
            return options_of(function)

        if wants_help(words):
            page = self._pages.get(name, HelpPage())
            about = (function.__doc__ or "").partition("Args:")[0]
            _show(help_text(f"{called} {name}", about, options(), page, whole=True))
        with _errors_in_one_line(f"{called} {name}", words, options):
            chosen = self._app.cli(prog=called, registry=value_rules())
        if self._writes_files:
            output_is_not_essential()
        chosen()

    def _overview(self, called: str) -> str:
        listed = [
            OptionText(
                name, name, "", (one.__doc__ or "").strip().splitlines()[0], "", False, False
            )
            for name, one in self._functions.items()
        ]
        text = help_text(called, self._description or "", listed, HelpPage(), whole=True)
        rest = text.partition("\n")[2].replace("options:", "NAME is one of:")
        more = f"`{called} NAME --help` lists the options of one of them."
        return f"usage: {called} NAME [OPTIONS]\n{rest}\n\n{more}"

    def _no_subcommand(self, name: str, called: str) -> str:
        if not name:
            return f"say which: {called} {one_of(list(self._functions))}"
        advice = did_you_mean(name, self._functions)
        advice = advice or f"choose {one_of(list(self._functions))}"
        return f"there is no {called} {name}: {advice} ({called} --help lists all)"


def _show(page: str) -> None:
    """Print a page of help and leave."""
    print(page)
    raise SystemExit(0)


def _refuse_repeated(target: Any, called: str, arguments: Sequence[str]) -> None:
    """Options that take several values: once, or tyro would drop the first, and not without any."""
    given = [word.partition("=")[0] for word in arguments]
    for field in dataclasses.fields(target):
        times = given.count(flag(field.name))
        if isinstance(field.default, tuple) and _without_value(flag(field.name), arguments):
            raise UserError(
                f"{flag(field.name)} has no value: give one, or leave the option out "
                f"({called} --help lists all)"
            )
        if isinstance(field.default, tuple) and times > 1:
            raise UserError(
                f"{flag(field.name)} is given {times} times: give it once, with all its values "
                f"after it ({called} --help lists all)"
            )


def _without_value(option: str, arguments: Sequence[str]) -> bool:
    """Whether an option has no value behind it, as an empty `$FILES` leaves it."""
    following = [after for word, after in itertools.pairwise([*arguments, "--"]) if word == option]
    return any(after.startswith("--") for after in following)


def _restore_docstring(target: Any) -> None:
    """Read a docstring, which --help shows, from the source where `python -OO` has dropped it."""
    if sys.flags.optimize >= 2:
        source = ast.parse(textwrap.dedent(inspect.getsource(target))).body[0]
        assert isinstance(source, (ast.ClassDef, ast.FunctionDef))
        target.__doc__ = ast.get_docstring(source)


@contextlib.contextmanager
def _errors_in_one_line(
    called: str, words: Sequence[str], options: Callable[[], list[OptionText]]
) -> Iterator[None]:
    """Turn tyro's box on stderr into a `UserError` of one line.

    tyro draws for the terminal that it finds: it is shown one that wraps and colours nothing.
    """
    box, before = io.StringIO(), os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = _NEVER_WRAPPED
    try:
        plain = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        with contextlib.redirect_stderr(box), contextlib.redirect_stdout(plain):
            yield
    except SystemExit as leaving:
        if leaving.code == 2:
            reason = what_is_wrong(box.getvalue(), words, options())
            raise UserError(f"{reason} ({called} --help lists all)") from None
        raise
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
