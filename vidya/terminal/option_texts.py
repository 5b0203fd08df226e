"""What can be said of a command's options: what each is called, takes, does and is by default.

They are read from a dataclass whose fields have docstrings, or from a function whose docstring
has a section `Args:`. tyro reads the same, but takes several times as long to import.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidya.terminal.common_options import flag, option_names

_TAKES = {int: "N", float: "NUMBER", str: "TEXT", Path: "PATH"}
_ON = "on"
_DEFAULT = re.compile(r"(?:^|\s+)Default: (.*?)\.(?=\s|$)")
_FIRST_SENTENCE = re.compile(r".*?\.(?=\s|$)")


@dataclass(frozen=True)
class OptionText:
    """One option as `--help` tells of it."""

    field: str
    """Its name in the code: `top_k`."""
    called: str
    """Its name on the command line: `--top-k`, or `FILE` for one without a flag."""
    takes: str
    """Its value: `N`, `a|b`, `PATH ...`; nothing for a switch."""
    text: str
    """What it does, in sentences."""
    default: str
    """What it is if it is not given; nothing where that goes without saying."""
    required: bool
    positional: bool
    choices: tuple[str, ...] = ()
    """The words that it may be, where these are all."""

    @property
    def is_on(self) -> bool:
        """Whether it is a switch that is on, and that `--no-NAME` turns off."""
        return not self.takes and self.default == _ON

    @property
    def invocation(self) -> str:
        """Name and value, as they are typed."""
        if self.is_on:
            return f"--[no-]{self.called[2:]}"
        if not self.positional:
            return f"{self.called} {self.takes}".rstrip()
        several = " ..." if self.takes.endswith("...") else ""
        return self.called + several

    @property
    def first_sentence(self) -> str:
        """What it does, in one sentence."""
        found = _FIRST_SENTENCE.match(self.text)
        return found[0] if found else self.text


def options_of(
    target: Any, *, positional: str | None = None, defaults: Mapping[str, str] | None = None
) -> list[OptionText]:
    """The options that a dataclass or a function declares, positional ones first.

    Args:
        target: the dataclass or function; tyro's markers in its annotations are understood.
        positional: a field whose values come without a flag.
        defaults: what fields are by default, where their own default does not say it.
    """
    read = _of_class if dataclasses.is_dataclass(target) else _of_function
    found = list(read(target))
    told = [
        _option(*one, is_positional=one[0] == positional, told=(defaults or {}).get(one[0]))
        for one in found
    ]
    some = [one for one in told if one is not None]
    return sorted(some, key=lambda one: not one.positional)


def _of_class(target: Any) -> Iterator[tuple[str, Any, Any, str]]:
    """Fields: name, type, default and text."""
    from docstring_parser.attrdoc import AttributeDocstrings

    texts: dict[str, str] = {}
    for one in reversed(target.__mro__):
        if dataclasses.is_dataclass(one):
            documented: Any = AttributeDocstrings().get_attr_docs(one)
            texts |= {name: found[0] for name, found in documented.items()}
    hints = typing.get_type_hints(target, include_extras=True)
    for name in option_names(target):
        default = target.__dataclass_fields__[name].default
        yield name, hints[name], default, texts.get(name, "")


def _of_function(target: Callable[..., Any]) -> Iterator[tuple[str, Any, Any, str]]:
    """Parameters, as `_of_class`; those of a dataclass without a name of its own one by one."""
    from docstring_parser import parse

    texts = {one.arg_name: one.description or "" for one in parse(target.__doc__ or "").params}
    hints = typing.get_type_hints(target, include_extras=True)
    for name, parameter in inspect.signature(target).parameters.items():
        hint = hints[name]
        inner = typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint
        if dataclasses.is_dataclass(inner):
            yield from _of_class(inner)
            continue
        empty = parameter.default is inspect.Parameter.empty
        yield name, hint, dataclasses.MISSING if empty else parameter.default, texts.get(name, "")


def _option(
    name: str, hint: Any, default: Any, text: str, *, is_positional: bool, told: str | None
) -> OptionText | None:
    marks: tuple[Any, ...] = ()
    called = flag(name)
    if typing.get_origin(hint) is typing.Annotated:
        hint, *rest = typing.get_args(hint)
        marks = tuple(rest)
    tyro_conf = sys.modules.get("tyro.conf")
    if tyro_conf is not None and tyro_conf.Suppress in marks:
        return None
    is_positional |= tyro_conf is not None and tyro_conf.Positional in marks
    for mark in marks:
        called = flag(mark.name) if getattr(mark, "name", None) else called
    takes, choices = value_of(hint)
    text = " ".join(text.split())
    said = _DEFAULT.search(text)
    text = _DEFAULT.sub("", text).strip()
    if is_positional:
        one_of_many = name.removesuffix("s") if takes.endswith("...") else name
        called = "FILE" if one_of_many == "path" else one_of_many.upper()
    return OptionText(
        field=name,
        called=called,
        takes=takes,
        text=text[:1].upper() + text[1:],
        default=told or (said[1] if said else _shown(default)),
        required=default is dataclasses.MISSING,
        positional=is_positional,
        choices=choices,
    )


def value_of(hint: Any) -> tuple[str, tuple[str, ...]]:
    """What a value of a type is called, and the words that it may be, if there are no others."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        parts = [value_of(part) for part in arguments if part is not type(None)]
        words = tuple(word for _, choices in parts for word in choices)
        return "|".join(takes for takes, _ in parts), words if all(c for _, c in parts) else ()
    if origin is typing.Literal:  # of several, one may stand in the other
        return "|".join(map(str, arguments)), tuple(map(str, arguments))
    if origin is tuple:
        takes, choices = value_of(arguments[0])
        return f"{takes} ...", choices
    return _TAKES.get(hint, ""), ()


def _shown(default: Any) -> str:
    """A default as it would be typed; nothing where that is to leave the option out."""
    if default in (None, False, (), "", dataclasses.MISSING) and default != 0.0:
        return ""
    if isinstance(default, bool):
        return _ON if default else ""
    if isinstance(default, tuple):
        return " ".join(map(_shown, default))
    if dataclasses.is_dataclass(default):
        return ""
    return f"{default:g}" if isinstance(default, float) else str(default)
