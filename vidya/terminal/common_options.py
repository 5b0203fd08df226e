"""Options that several commands have, and checks of what options are given.

The options of a command are a dataclass that inherits from here what it shares with others.
Nothing heavy is imported, so that `--help` is quick.
"""

import inspect
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from vidya.errors import UserError

# No `from __future__ import annotations` here: tyro reads the annotations.


@dataclass(frozen=True, kw_only=True)
class Options:
    """What every command's options have: a check before anything is read or written."""

    def check(self) -> None:
        """Raise `UserError` for a value that cannot work; subclasses add theirs."""


@dataclass(frozen=True, kw_only=True)
class SeedOption(Options):
    """The seed of what is drawn at random."""

    seed: int = 0
    """Random numbers: the same seed gives the same results. They are the same bit for bit."""

    def check(self) -> None:
        """Raise `UserError` for a seed that is no 64-bit number."""
        super().check()
        if not 0 <= self.seed < 2**64:
            raise UserError(f"--seed must be in [0, 2**64), not {self.seed}")


@dataclass(frozen=True, kw_only=True)
class ResultsOption(Options):
    """The folder for what comes of a model."""

    out: Path | None = None
    """Folder for what comes of it, which becomes a run folder of its own; the model's own folder
    is only read then. Default: the model's own folder."""


@dataclass(frozen=True, kw_only=True)
class ThreadsOption(Options):
    """The number of threads of a command that measures no steps.

    What it may be is checked where it is used: the limit is the kernels'
    (`vidya.training.thread_choice.check`).
    """

    threads: Literal["auto"] | int = "auto"
    """Number of threads; auto: as many as there are cores that this process may use."""


@dataclass(frozen=True, kw_only=True)
class MeasuredThreadsOption(Options):
    """The number of threads of a training, whose steps can be timed; checked as that above."""

    threads: Literal["auto", "measure"] | int = "auto"
    """Number of threads. auto: steps are timed with 1, 2, … up to the cores that this process
    may use, and what was fastest is remembered; measure: timed again. Results do not depend
    on it."""


@dataclass(frozen=True, kw_only=True)
class SamplingOptions(SeedOption):
    """How each token of a reply is drawn."""

    temperature: float = 0.7
    """Temperature of the replies: below 1 likely words become likelier; 0 always takes the
    likeliest."""
    top_k: int = 40
    """Number of the likeliest tokens that each one is drawn from; 0 draws from all."""


def option_names(options: Any) -> list[str]:
    """Fields of a class of options: what a command alone has before what it inherits."""
    there = {field.name for field in fields(options)}
    names = dict.fromkeys(name for c in options.__mro__ for name in inspect.get_annotations(c))
    return [name for name in names if name in there]


def flag(name: str) -> str:
    """The command-line option of a field: `--top-k` of `top_k`."""
    return "--" + name.replace("_", "-")


def require_at_least(least: int, options: Any, *names: str) -> None:
    """Raise `UserError` for a field below `least`; None, an option left out, is none."""
    for name in names:
        value = getattr(options, name)
        if value is not None and value < least:
            raise UserError(f"{flag(name)} must be at least {least}, not {value}")


def require_positive(options: Any, *names: str) -> None:
    """Raise `UserError` for a field that is no finite number above 0; None passes."""
    for name in names:
        value = getattr(options, name)
        if value is not None and not 0 < value < math.inf:
            raise UserError(f"{flag(name)} must be a positive number, not {value}")


def require_share(options: Any, *names: str) -> None:
    """Raise `UserError` for a field that is not in [0, 1); None passes."""
    for name in names:
        value = getattr(options, name)
        if value is not None and not 0 <= value < 1:
            raise UserError(f"{flag(name)} must be in [0, 1), not {value}")
