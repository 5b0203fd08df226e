"""Signals that ask for work to end, which ends where it is whole.

- `StopSignal` is for a run of steps: Ctrl-C or SIGTERM ends it after the step that is being
  made, and a second one at once.
- `interrupts` is for a reply that is being written: Ctrl-C, however often, only cuts it short.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def handled(
    handler: Callable[[int, FrameType | None], object], *numbers: signal.Signals
) -> Iterator[None]:
    """Let `handler` take the signals inside the block, and the one before it afterwards."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


class StopSignal:
    """Remembers that SIGINT or SIGTERM came, so that the loop can stop between two steps."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> bool:
        """Whether a signal came."""
        return self.signal is not None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Handle the signals inside the block; a second one interrupts at once."""
        with handled(self._handle, signal.SIGINT, signal.SIGTERM):
            yield

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number


@contextmanager
def interrupts() -> Iterator[Callable[[], bool]]:
    """Ctrl-C interrupts nothing inside; the function that this gives tells whether it came."""
    came: list[int] = []
    with handled(lambda number, frame: came.append(number), signal.SIGINT):
        yield lambda: bool(came)
