"""The judge of replies: a reward function found by its name, with its settings."""

from __future__ import annotations

import importlib
import inspect
import math
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from vidya.errors import UserError

Reward = Callable[..., Any]


class Judge:
    """A reward found by its name, with its settings: every mistake of it is a `UserError`."""

    def __init__(self, name: str, settings: Mapping[str, object] | None = None) -> None:
        """Import it. Modules in the current folder are found.

        Args:
            name: `module:function`.
            settings: values for parameters of it.

        Raises:
            UserError: there is no such function, or it cannot be called like that.
        """
        self.name = name
        self._settings = dict(settings or {})
        self._function = _find(name)
        self._told = self._told_besides()

    def __call__(self, turns: Sequence[str], reply: str, *, tokens: int, ended: bool) -> float:
        """The reward of a reply.

        Raises:
            UserError: the function raised an exception, or returned no finite number.
        """
        told = {"tokens": tokens, "ended": ended}
        besides = {name: told[name] for name in self._told}
        try:
            value = self._function(list(turns), reply, **besides, **self._settings)
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            raise UserError(f"the reward {self.name} failed: {_said(error)}") from error
        try:
            number = math.nan if isinstance(value, (str, bytes)) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            shown = _short(repr(value))
            raise UserError(f"the reward {self.name} must return a finite number, not {shown}")
        return number

    def _told_besides(self) -> list[str]:
        """Which parameters besides turns and reply it has; `UserError` if it cannot be called."""
        try:
            signature = inspect.signature(self._function)
        except (TypeError, ValueError):  # some functions written in C do not say
            return []
        parameters = signature.parameters.keys() - self._settings.keys()
        told: list[str] = [name for name in _TOLD if name in parameters]
        try:
            signature.bind([], "", **dict.fromkeys(told), **self._settings)
        except TypeError as error:
            takes = [name for name in signature.parameters if name not in _TOLD]
            unknown = [name for name in self._settings if name not in takes]
            if unknown and not _takes_any(signature):
                names = takes[2:]
                valid = f"its settings are {', '.join(names)}" if names else "it has none"
                raise UserError(f"{self.name} has no setting {unknown[0]}: {valid}") from error
            raise UserError(
                f"the reward {self.name} cannot be called with turns and reply"
                f"{''.join(f', {name}' for name in self._settings)}: {error}"
            ) from error
        return told


_TOLD = ("tokens", "ended")
"""What a reward is told besides turns and reply, if it has parameters of these names."""


def _takes_any(signature: inspect.Signature) -> bool:
    kinds = [one.kind for one in signature.parameters.values()]
    return inspect.Parameter.VAR_KEYWORD in kinds


def settings_of(words: Sequence[str]) -> dict[str, object]:
    """Settings from `name=value` words; a value is a number, true or false, or text.

    Raises:
        UserError: a word is not of that form, or names a setting twice.
    """
    settings: dict[str, object] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise UserError(f"--settings takes NAME=VALUE, such as target=20, not {word!r}")
        if name in settings:
            raise UserError(f"--settings gives {name} twice")
        settings[name] = _value(value)
    return settings


def _value(text: str) -> object:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _find(name: str) -> Reward:
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        raise UserError(f"--reward takes MODULE:FUNCTION, such as vidya.rewards:length, not {name}")
    try:
        module = _imported(module_name)
    except (Exception, SystemExit) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{module_name}.".startswith(f"{missing}."):
            raise UserError(
                f"there is no module {module_name} for --reward {name}: it is looked for in this "
                "folder, on PYTHONPATH and among the installed packages"
            ) from error
        raise UserError(f"cannot import {module_name}: {_said(error)}") from error
    function: Reward | None = getattr(module, function_name, None)
    if function is None:
        where = getattr(module, "__file__", "built in")
        raise UserError(f"{module_name} ({where}) has no function {function_name}")
    if not callable(function):
        raise UserError(f"{name} is no function but {_short(repr(function))}")
    return function


def _imported(module_name: str) -> ModuleType:
    """A module, which may lie in the current folder.

    That folder comes first for this import alone, and last for what the module imports later: a
    file there must not take the place of something that vidya needs.
    """
    try:
        here = os.getcwd()
    except OSError:  # it has been deleted
        here = ""
    if not here or here in sys.path:
        return importlib.import_module(module_name)
    sys.path.insert(0, here)
    try:
        return importlib.import_module(module_name)
    finally:
        sys.path.remove(here)
        sys.path.append(here)


def _said(error: BaseException) -> str:
    """An exception and where it came from, in one line."""
    where = ""
    if frames := traceback.extract_tb(error.__traceback__):
        where = f" ({frames[-1].filename}, line {frames[-1].lineno})"
    if isinstance(error, SyntaxError):
        where = f" ({error.filename}, line {error.lineno})"
        return f"{type(error).__name__}: {error.msg}{where}"
    return f"{type(error).__name__}: {_short(str(error))}{where}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 100 else line[:99] + "…"
