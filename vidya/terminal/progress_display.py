"""How far some work has come: a bar on a terminal, plain lines without one.

- `ProgressDisplay` shows a run of steps.
- `counted_progress` shows work of a known size that is done in parts.
- `waiting` shows that something goes on whose end nobody can tell.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from vidya.terminal.formatting import byte_size, duration, fitting, printable
from vidya.terminal.line_breaks import shortened, terminal_width, wrapped
from vidya.terminal.streams import can_redraw, say

PLAIN_COLUMNS = 120
"""Columns of a line that is cut where there is no terminal."""
_WIDE = 72  # columns of a terminal that shows bytes and their speed beside a bar
LINE_SECONDS = 10.0
"""Between two plain lines."""
SMOOTHING = 0.98
"""The loss and the speed that are shown are running averages with this decay."""


class _LineClock:
    """Says when the next plain line is due."""

    def __init__(self) -> None:
        self._next = time.monotonic() + LINE_SECONDS

    def due(self, last: bool = False) -> bool:
        """Whether it is time for a line; the last one is always due."""
        now = time.monotonic()
        if now < self._next and not last:
            return False
        self._next = now + LINE_SECONDS
        return True


# ---------------------------------------------------------------- work in parts


@contextmanager
def counted_progress(
    name: str, total: int | None, *, begin: str = "", in_bytes: bool = False, show: bool = True
) -> Iterator[Callable[[int, str], None]]:
    """Show how much of some work is done; `with` gives the function to call after each part.

    That function takes how much the part adds, and words for the plain line.

    Args:
        name: what is done.
        total: how much there is to do; None: nobody knows.
        begin: a line to begin with where there is no terminal.
        in_bytes: whether bytes are counted: they are shown, and every ten seconds there is a
            plain line where there is no terminal.
        show: whether anything is shown at all.
    """
    if not show:
        yield lambda count, words: None
        return
    if can_redraw(sys.stderr):
        from rich import console, progress

        screen = console.Console(stderr=True)
        bytes_done = [progress.DownloadColumn(), progress.TransferSpeedColumn()]
        columns = [
            progress.TextColumn("{task.description}"),
            progress.BarColumn(None),
            *(bytes_done if in_bytes and screen.width >= _WIDE else []),
            progress.TimeRemainingColumn(),
        ]
        with progress.Progress(*columns, console=screen, transient=True, expand=True) as bar:
            task = bar.add_task(name, total=total)
            yield lambda count, words: bar.advance(task, count)
        return
    if begin:
        say(begin)
    clock, done = _LineClock(), 0
    of = f" of {total / 1e6:.1f}" if total else ""

    def advance(count: int, words: str) -> None:
        nonlocal done
        done += count
        if in_bytes and clock.due():
            say(f"{name.lower()}: {done / 1e6:.1f}{of} MB, {words}")

    yield advance


@contextmanager
def waiting(note: str, *, tell: bool = True) -> Iterator[None]:
    """Show that something goes on, and in the end how long it took.

    Without `tell` nothing of it stays on the screen, nor is it said how long it took.
    """
    start = time.monotonic()
    if can_redraw(sys.stderr):
        from rich.console import Console

        with Console(stderr=True).status(f"{note} …"):
            yield
    else:
        say(f"{note} …")
        yield
    if tell:
        say(f"{note}: {time.monotonic() - start:.1f} s")


# ---------------------------------------------------------------- a run of steps


class RunningMean:
    """Exponential running average, without the bias of its start."""

    def __init__(self) -> None:
        self._sum = self._weight = 0.0

    def add(self, value: float) -> None:
        """Take in the next value."""
        self._sum = SMOOTHING * self._sum + (1 - SMOOTHING) * value
        self._weight = SMOOTHING * self._weight + (1 - SMOOTHING)

    @property
    def value(self) -> float:
        """The average so far; NaN before the first value."""
        return self._sum / self._weight if self._weight else float("nan")


class ProgressDisplay:
    """Shows a run of `total` steps on stderr while it goes; use it as a context manager."""

    def __init__(self, total: int, done: int) -> None:
        self._total = total
        self._loss, self._tokens, self._seconds = RunningMean(), RunningMean(), RunningMean()
        self._held_out: list[str] = []
        self._last: tuple[int, list[str], list[str]] | None = None  # step, what stands around it
        self._clock = _LineClock()
        self._bar: Any = None
        if can_redraw(sys.stderr):
            self._bar, self._task, self._beside_status = _make_bar(total, done)

    def __enter__(self) -> ProgressDisplay:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar:
            self._bar.stop()

    def say(self, text: str) -> None:
        """Print a line, above the bar if there is one."""
        if self._bar:
            self._bar.console.print(
                wrapped(text, self._bar.console.width),
                markup=False, emoji=False, highlight=False, soft_wrap=True,
            )  # fmt: skip
        else:
            say(text)

    def one_line(self, text: str) -> None:
        """Print a text that may be long in one line, cut to the terminal's width."""
        text = printable(text, one_line=False)
        width = self._bar.console.width if self._bar else terminal_width(sys.stderr)
        self.say(shortened(text, width or PLAIN_COLUMNS))

    def step(self, step: int, loss: float, tokens: int, seconds: float, rss: int) -> None:
        """Show that `step` steps are done; `tokens` and `seconds` are of the last one."""
        self._loss.add(loss)
        self._tokens.add(tokens)
        left = self._time_left(step, seconds)
        speed = f"{self._tokens.value / max(1e-9, self._seconds.value):,.0f} tokens/s"
        self._last = step, [f"loss {self._loss.value:.3f}", left], [speed, byte_size(rss)]
        self._show(
            step,
            self._beside_bar(self._last),
            [f"loss {self._loss.value:.4f}", speed, left, byte_size(rss)],
        )

    def _beside_bar(self, last: tuple[int, list[str], list[str]]) -> list[str]:
        return [*last[1], *self._held_out, *last[2]]

    def show(self, step: int, parts: list[str], seconds: float) -> None:
        """Show that `step` steps are done, and in words what was measured in the last one.

        Args:
            step: steps done.
            parts: what was measured, the most important first.
            seconds: of the last step.
        """
        parts = [*parts, self._time_left(step, seconds)]
        self._show(step, parts, parts)

    def held_out(self, step: int, bits_per_byte: float, in_words: str) -> None:
        """Show an evaluation on text that is not trained on."""
        self._held_out = [f"unseen {bits_per_byte:.3f} bits/byte"]
        self.say(f"step {step:,}: unseen text {in_words}")
        if self._bar and self._last:  # after the last step no other shows it
            self._show(step, self._beside_bar(self._last), [])

    def _time_left(self, step: int, seconds: float) -> str:
        self._seconds.add(seconds)
        return f"{duration((self._total - step) * self._seconds.value)} left"

    def _show(self, step: int, beside_bar: list[str], in_line: list[str]) -> None:
        if self._bar:
            room = self._bar.console.width - self._beside_status
            self._bar.update(self._task, completed=step, status=fitting(beside_bar, room))
        elif self._clock.due(last=step == self._total):
            self.say(f"step {step:,} of {self._total:,}  " + "  ".join(in_line))


def _make_bar(total: int, done: int) -> tuple[Any, Any, int]:
    """A bar with a status beside it, its task, and the columns that the status cannot have."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    bar_width = 20 if console.width >= 100 else 10
    count = TextColumn("{task.completed:,} of {task.total:,}")
    columns = BarColumn(bar_width), count, TextColumn("{task.fields[status]}")
    bar = Progress(*columns, console=console, refresh_per_second=4)
    task = bar.add_task("training", total=total, completed=done, status="")
    return bar, task, bar_width + len(f" {total:,} of {total:,} ")
