"""Rewards: Python functions that judge a reply, and how one is found by its name.

A reward is called as `function(turns, reply)` and returns a number, more for a better reply:

    def shouting(turns: list[str], reply: str) -> float:
        return sum(c.isupper() for c in reply) / max(1, len(reply))

`turns` are the texts of the conversation so far, the user's first; the last, `turns[-1]`,
is the message that is replied to. `reply` is what the model said, as `vidya.chat` would
show it; it may be empty. A reward that has parameters of these names is told as well:

    tokens  how many tokens the reply has, without the marker that ended it
    ended   whether the model ended it itself: False where it was cut off

and its other parameters are settings (`--settings target=20`). Only the differences between
rewards of replies to one prompt count, so their zero and their scale do not matter.
"""

from __future__ import annotations

import importlib
import inspect
import math
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vidya.diversity import repetition, words
from vidya.errors import UserError

Reward = Callable[..., Any]
TOLD = ("tokens", "ended")
"""What a reward is told besides if it has a parameter of that name."""


def length(
    turns: list[str], reply: str, *, tokens: int, target: float = 20, unit: str = "tokens"
) -> float:
    """1 for a reply of `target` tokens, a half for half as many or twice as many, 0 for none.

    By ratio and not by difference: some replies are always much too long, none is shorter
    than nothing, so that differences would push the mean below the target.

    Args:
        turns: not looked at.
        reply: what the model said.
        tokens: how many tokens that is.
        target: the length to come near to.
        unit: what `target` counts: `tokens`, or `words` (marks count as words).
    """
    if unit not in ("tokens", "words"):
        raise UserError(f"the length of a reply is counted in tokens or words, not {unit}")
    if not 0 < target < math.inf:
        raise UserError(f"the target length must be above 0, not {target}")
    there = tokens if unit == "tokens" else len(words(reply))
    return min(there / target, target / max(1, there))


def no_repeats(turns: list[str], reply: str, *, n: int = 2) -> float:
    """The share of a reply's n-grams of words that do not repeat an earlier one: 1 is best.

    A reply of fewer than `n` words has none, and gets 0: saying nothing is no way out.
    """
    if not isinstance(n, int) or n < 1:
        raise UserError(f"n-grams have n = 1, 2, … words, not {n}")
    repeated = repetition([words(reply)], n)
    return 0.0 if repeated is None else 1 - repeated


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
        besides = {"tokens": tokens, "ended": ended}
        told = {name: besides[name] for name in self._told}
        try:
            value = self._function(list(turns), reply, **told, **self._settings)
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            raise UserError(f"the reward {self.name} failed: {_said(error)}") from error
        return self._number(value)

    def _number(self, value: Any) -> float:
        try:
            number = math.nan if isinstance(value, (str, bytes)) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            shown = _short(repr(value))
            raise UserError(f"the reward {self.name} must return a finite number, not {shown}")
        return number

    def _told_besides(self) -> list[str]:
        """Which of `TOLD` it asks for; `UserError` where it cannot be called."""
        try:
            signature = inspect.signature(self._function)
        except (TypeError, ValueError):  # some functions written in C do not say
            return []
        told = [name for name in TOLD if name in signature.parameters]
        told = [name for name in told if name not in self._settings]
        try:
            signature.bind([], "", **dict.fromkeys(told), **self._settings)
        except TypeError as error:
            raise UserError(
                f"the reward {self.name} cannot be called with turns and reply"
                f"{''.join(f', {name}' for name in self._settings)}: {error}"
            ) from error
        return told


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
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)  # as `python -m` does, and the console script does not
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise UserError(
                f"there is no module {module_name} for --reward {name}: it is looked for in this "
                "folder, on PYTHONPATH and among the installed packages"
            ) from error
        raise UserError(f"cannot import {module_name}: {_said(error)}") from error
    except (Exception, SystemExit) as error:
        raise UserError(f"cannot import {module_name}: {_said(error)}") from error
    function = getattr(module, function_name, None)
    if function is None:
        where = getattr(module, "__file__", "built in")
        raise UserError(f"{module_name} ({where}) has no function {function_name}")
    if not callable(function):
        raise UserError(f"{name} is no function but {_short(repr(function))}")
    found: Reward = function
    return found


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
