"""Signals that ask for work to end, which ends where it is whole.

- `StopSignal` is for a run of steps: Ctrl-C, SIGTERM or a terminal that closes ends it after the
  step that is being made, and a second Ctrl-C at once.
- `interrupts` is for a reply that is being written: Ctrl-C, however often, only cuts it short.
- `leaving_at_signals` is for all other work: it is left as an exception leaves it.

A signal that was ignored when the command began stays so: `nohup` means that a hang-up does not
count, and a shell script lets nobody interrupt what it has put into the background.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGHUP)
"""The signals of a system that shuts down and of a terminal that is closed."""


@contextmanager
def handled(
    handler: Callable[[int, FrameType | None], object], *numbers: signal.Signals
) -> Iterator[None]:
    """Let `handler` take the signals inside the block, and the one before it afterwards.

    Those that are ignored stay ignored. Outside the main thread, which alone may handle
    signals, nothing changes.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in numbers:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


class StopSignal:
    """Remembers that SIGINT, SIGTERM or SIGHUP came, so that the loop can stop between two steps.

    Attributes:
        signal: the first one that came; None while there was none.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> bool:
        """Whether a signal came."""
        return self.signal is not None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Handle the signals inside the block; Ctrl-C as the second one interrupts at once.

        The others are often sent twice, by the system and by a shell, and mean one thing.
        """
        with handled(self._handle, signal.SIGINT, *ENDING):
            yield

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is None:
            self.signal = number
        elif number == signal.SIGINT:
            raise KeyboardInterrupt


@contextmanager
def interrupts() -> Iterator[Callable[[], bool]]:
    """Ctrl-C interrupts nothing inside; the function that this gives tells whether it came."""
    came: list[int] = []
    with handled(lambda number, frame: came.append(number), signal.SIGINT):
        yield lambda: bool(came)


@contextmanager
def leaving_at_signals() -> Iterator[None]:
    """Leave the block at SIGTERM or SIGHUP as an exception does; the exit status tells which.

    What the block made is then deleted or saved, and the terminal is as it was. A second
    signal does not disturb that.
    """
    left = False

    def leave(number: int, _: FrameType | None) -> None:
        nonlocal left
        if not left:
            left = True
            raise SystemExit(128 + number)

    with handled(leave, *ENDING):
        yield
