"""Single keys that are pressed while a command shows something."""

from __future__ import annotations

import contextlib
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def pressed_keys() -> Iterator[Callable[[float], str | None]]:
    """Yield a function that waits for a key, so many seconds at most, and returns it.

    It returns None when no key came, as always without a terminal, and an empty text when the
    terminal is gone.
    """
    if not sys.stdin.isatty():
        yield time.sleep  # which returns None
        return

    def wait(seconds: float) -> str | None:
        try:
            ready = select.select([sys.stdin], [], [], seconds)[0]
            return sys.stdin.read(1) if ready else None
        except OSError:
            return ""

    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield wait
    finally:
        with contextlib.suppress(termios.error):  # the terminal has been closed
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
