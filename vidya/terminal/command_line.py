"""Command lines from dataclasses and functions through tyro, with errors of one line."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import functools
import inspect
import io
import itertools
import os
import re
import shutil
import sys
import textwrap
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from vidya.errors import UserError
from vidya.terminal.common_options import flag, option_names
from vidya.terminal.streams import output_is_not_essential

T = TypeVar("T")

LEAST_COLUMNS = 40
"""Columns that --help takes at least; a narrower terminal breaks its lines."""


def parse(
    target: Callable[..., T],
    command: str,
    *,
    description: str | None = None,
    positional: str | None = None,
    default: Any = None,
) -> T:
    """What tyro makes of the command line for `target`.

    Args:
        target: a dataclass; its fields with their docstrings are the options.
        command: as the user calls it: `train` in `python -m vidya.train`.
        description: what --help says first; default: the docstring of `target`.
        positional: the field whose values come without a flag.
        default: what options have that are not given; default: what `target` says.

    Raises:
        UserError: the command line is wrong; one line, where tyro draws a box.
    """
    import tyro

    _restore_docstring(target)
    if positional:  # the class cannot say so: tyro is imported when it is needed
        marked: Any = tyro.conf.Positional
        target.__annotations__[positional] = marked[target.__annotations__[positional]]
    _refuse_repeated(target, command, sys.argv[1:])
    with _errors_in_one_line(command), _fit_to_terminal(), _own_options_first(target):
        return tyro.cli(
            target,
            prog=f"python -m vidya.{command}",
            description=description,
            default=tyro.MISSING_NONPROP if default is None else default,
            registry=_registry(),
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
        self._app = SubcommandApp()

    def command(self, function: Callable[..., None]) -> Callable[..., None]:
        """Decorator: `function` is a subcommand of its own name."""
        _restore_docstring(function)

        # Parsing and running are kept apart: only the parser's words are shortened.
        @functools.wraps(function)
        def deferred(*args: Any, **kwargs: Any) -> Callable[[], None]:
            return functools.partial(function, *args, **kwargs)

        self._app.command(deferred)
        return function

    def run(self) -> None:
        """Parse the command line and run the subcommand that it names.

        Raises:
            UserError: as `parse`, or what the subcommand raises.
        """
        with _errors_in_one_line(self._command), _fit_to_terminal():
            chosen = self._app.cli(
                prog=f"python -m vidya.{self._command}",
                description=self._description,
                registry=_registry(),
            )
        if self._writes_files:
            output_is_not_essential()
        chosen()


def _refuse_repeated(target: Any, command: str, arguments: Sequence[str]) -> None:
    """Options that take several values: once, or tyro would drop the first, and not without any."""
    given = [word.partition("=")[0] for word in arguments]
    for field in dataclasses.fields(target):
        times = given.count(flag(field.name))
        if isinstance(field.default, tuple) and _without_value(flag(field.name), arguments):
            raise UserError(
                f"{flag(field.name)} has no value: name one, or leave the option out "
                f"(python -m vidya.{command} --help lists all)"
            )
        if isinstance(field.default, tuple) and times > 1:
            raise UserError(
                f"{flag(field.name)} is given {times} times: give it once, with all its values "
                f"after it (python -m vidya.{command} --help lists all)"
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
def _own_options_first(target: Any) -> Iterator[None]:
    """Let --help show what a command alone has before what it inherits, as from common_options."""
    fields = target.__dataclass_fields__
    target.__dataclass_fields__ = {name: fields[name] for name in option_names(target)}
    try:
        yield
    finally:
        target.__dataclass_fields__ = fields


@contextlib.contextmanager
def _errors_in_one_line(command: str) -> Iterator[None]:
    """Turn tyro's box on stderr into a `UserError`; what it prints for --help passes."""
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            yield
    except SystemExit as leaving:
        if leaving.code == 2:
            reason = _reason(box.getvalue())
            raise UserError(f"{reason} (python -m vidya.{command} --help lists all)") from None
        sys.stderr.write(box.getvalue())
        raise


@contextlib.contextmanager
def _fit_to_terminal() -> Iterator[None]:
    """Let tyro draw what any terminal shows.

    In a few columns it would look for ever for a place to break a line, and it does not know
    of NO_COLOR.
    """
    changes = {"COLUMNS": str(max(LEAST_COLUMNS, shutil.get_terminal_size().columns))}
    if os.environ.get("NO_COLOR"):
        changes["TERM"] = "dumb"
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _reason(box: str) -> str:
    """What a box of text says in its first part, and the options it suggests, in one line."""
    parts: list[list[str]] = [[]]
    for row in re.sub("\x1b\\[[0-9;]*m", "", box).splitlines():
        line = row.strip("│ ")
        if line.startswith("──"):
            parts.append([])
        elif line and row[0] not in "╭╰":
            parts[-1].append(line)
    reason = " ".join(parts[0]) or "the command line is wrong"
    hints = [line for part in parts[1:] if part[:1] == ["Perhaps you meant:"] for line in part]
    suggested = [line.split()[0] for line in hints if line.startswith("--")]
    return reason + (f": perhaps you meant {' or '.join(suggested)}" if suggested else "")


def _registry() -> Any:
    """Tyro's rules and three more.

    `X | None` reads and shows as X: None is what leaving it out means. A number or one of
    some words, `Literal["auto"] | int`, says in one sentence what it takes. A path is a name, and
    `~` in it the home folder, which shells leave as it is in `--out=~/run`.
    """
    from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

    registry = ConstructorRegistry()

    @registry.primitive_rule
    def optional(info: PrimitiveTypeInfo) -> Any:
        if info.type_origin not in (typing.Union, types.UnionType):
            return None
        some = [part for part in typing.get_args(info.type) if part is not type(None)]
        if len(some) != 1 or len(typing.get_args(info.type)) != 2:
            return None
        return ConstructorRegistry.get_primitive_spec(
            PrimitiveTypeInfo.make(some[0], set(info.markers))
        )

    @registry.primitive_rule
    def number_or_word(info: PrimitiveTypeInfo) -> Any:
        words = _words_beside_int(info.type)
        if not words:
            return None
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar="|".join([*words, "INT"]),
            instance_from_str=lambda given: _number_or_word(given[0], words),
            is_instance=lambda value: value in words or type(value) is int,
            str_from_instance=lambda value: [str(value)],
        )

    @registry.primitive_rule
    def path(info: PrimitiveTypeInfo) -> Any:
        if info.type is not Path:
            return None
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar="PATH",
            instance_from_str=lambda given: _path(given[0]),
            is_instance=lambda value: isinstance(value, Path),
            str_from_instance=lambda value: [str(value)],
        )

    return registry


def _path(given: str) -> Path:
    if not given:  # a variable of the shell that is not set; to Python this is the current folder
        raise ValueError("the name of a file or folder is empty: . is the current folder")
    return Path(os.path.expanduser(given))  # not Path's own: `./~` is a file of that name


def _words_beside_int(hint: Any) -> tuple[str, ...]:
    """The words of `Literal["this", "that"] | int`; none for any other type."""
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return ()
    literals = [part for part in typing.get_args(hint) if typing.get_origin(part) is typing.Literal]
    if len(literals) != 1 or set(typing.get_args(hint)) != {int, *literals}:
        return ()
    return typing.get_args(literals[0])


def _number_or_word(text: str, words: tuple[str, ...]) -> int | str:
    if text in words:
        return text
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither {' nor '.join(words)} nor a whole number") from None
