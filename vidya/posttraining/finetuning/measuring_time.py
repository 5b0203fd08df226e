"""Measuring time: how often a model that learns is evaluated, so that it mostly learns."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

SHARE = 0.1
"""Of the time of the steps that evaluations between them may take."""


class MeasuringTime:
    """How long evaluations take, and whether another one between two steps is worth it.

    It is if all of them between steps, and as much again as the last one took, are at most
    `SHARE` of the time of the steps.
    """

    def __init__(self) -> None:
        self._all = self._between = self._last = 0.0

    @contextlib.contextmanager
    def counted(self, *, between: bool) -> Iterator[None]:
        """Count the time of an evaluation, which may be one between two steps."""
        begun = time.monotonic()
        yield
        seconds = time.monotonic() - begun
        self._all += seconds
        if between:
            self._between += seconds
            self._last = seconds

    def allows(self, since_begun: float) -> bool:
        """Whether there is time for one more, so many seconds after the beginning."""
        return self._between + self._last <= SHARE * (since_begun - self._all)
