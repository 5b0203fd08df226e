"""What the values of a command line may be, and what is said of one that is none.

`X | None` reads and shows as X: None is what leaving it out means. A number or one of some
words, `Literal["auto"] | int`, says in one sentence what it takes. A path is a name, and `~` in
it the home folder, which shells leave as it is in `--out=~/run`.
"""

from __future__ import annotations

import os
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any


def value_rules() -> Any:
    """Tyro's rules and those of this file."""
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
            metavar="|".join([*words, "N"]),
            instance_from_str=lambda given: _number_or_word(given[0], words),
            is_instance=lambda value: value in words or type(value) is int,
            str_from_instance=lambda value: [str(value)],
        )

    def simple(kind: type, metavar: str, read: Callable[[str], Any]) -> None:
        @registry.primitive_rule
        def rule(info: PrimitiveTypeInfo) -> Any:
            if info.type is not kind:
                return None
            return PrimitiveConstructorSpec(
                nargs=1,
                metavar=metavar,
                instance_from_str=lambda given: read(given[0]),
                is_instance=lambda value: isinstance(value, kind) and type(value) is not bool,
                str_from_instance=lambda value: [str(value)],
            )

    for kind, metavar in ((Path, "PATH"), (int, "N"), (float, "NUMBER")):
        simple(kind, metavar, READERS[metavar])
    return registry


def _path(given: str) -> Path:
    if not given:  # a variable of the shell that is not set; to Python this is the current folder
        raise ValueError("the name of a file or folder is empty: . is the current folder")
    return Path(os.path.expanduser(given))  # not Path's own: `./~` is a file of that name


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is no whole number{_instead(text)}") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        comma = text.replace(",", ".")
        decimal = comma.count(".") == 1 and comma.replace(".", "").isdigit()
        advice = f": write {comma}" if decimal else _instead(text)
        raise ValueError(f"{text!r} is no number{advice}") from None


def _instead(text: str) -> str:
    """How a number is written that has other marks in it: `10,000`, `2k`, `1e3`."""
    plain = text.strip().replace(",", "").replace("'", "").replace(" ", "").lower()
    factor = {"k": 1_000, "m": 1_000_000}.get(plain[-1:], 1)
    try:
        value = float(plain.rstrip("km")) * factor
        return f": write {int(value)}" if value == int(value) else ""
    except (ValueError, OverflowError):
        return ""


READERS: dict[str, Callable[[str], Any]] = {
    "PATH": _path, "N": _whole_number, "NUMBER": _number,
}  # fmt: skip
"""What reads a value, by what `--help` calls it; `ValueError` says why it is none."""


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
