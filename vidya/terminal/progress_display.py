"""What a person sees of a training run: a progress bar, or plain lines without a terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from vidya.terminal.formatting import byte_size, duration, fitting

LINE_SECONDS = 10.0
"""Between two plain lines."""
SMOOTHING = 0.98
"""The loss and the speed that are shown are running averages with this decay."""


class _Average:
    """Exponential running average, without the bias of its start."""

    def __init__(self) -> None:
        self._sum = self._weight = 0.0

    def add(self, value: float) -> None:
        self._sum = SMOOTHING * self._sum + (1 - SMOOTHING) * value
        self._weight = SMOOTHING * self._weight + (1 - SMOOTHING)

    @property
    def value(self) -> float:
        return self._sum / self._weight if self._weight else float("nan")


class ProgressDisplay:
    """Shows a run of `total` steps on stderr while it goes; use it as a context manager."""

    def __init__(self, total: int, done: int) -> None:
        self._total = total
        self._step = done
        self._loss, self._tokens, self._seconds = _Average(), _Average(), _Average()
        self._held_out: list[str] = []
        self._next_line = time.monotonic() + LINE_SECONDS
        self._bar: Any = None
        if sys.stderr.isatty():
            self._bar, self._task, self._beside_status = _make_bar(total, done)

    def __enter__(self) -> ProgressDisplay:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    def say(self, text: str) -> None:
        """Print a line, above the bar if there is one."""
        if self._bar:
            self._bar.console.print(
                text, markup=False, emoji=False, highlight=False, soft_wrap=True
            )
        else:
            print(text, file=sys.stderr, flush=True)

    def step(self, step: int, loss: float, tokens: int, seconds: float, rss: int) -> None:
        """Show that `step` steps are done; `tokens` and `seconds` are of the last one."""
        self._step = step
        self._loss.add(loss)
        self._tokens.add(tokens)
        self._seconds.add(seconds)
        speed = self._tokens.value / max(1e-9, self._seconds.value)
        left = duration((self._total - step) * self._seconds.value)
        if self._bar:
            parts = [
                f"loss {self._loss.value:.3f}",
                f"{left} left",
                *self._held_out,
                f"{speed:,.0f} tok/s",
                byte_size(rss),
            ]
            room = self._bar.console.width - self._beside_status
            self._bar.update(self._task, completed=step, status=fitting(parts, room))
        elif time.monotonic() >= self._next_line or step == self._total:
            self._next_line = time.monotonic() + LINE_SECONDS
            self.say(
                f"step {step}/{self._total}  loss {self._loss.value:.4f}  {speed:,.0f} tok/s  "
                f"{left} left  {byte_size(rss)}"
            )

    def show(self, step: int, parts: list[str], seconds: float) -> None:
        """Show that `step` steps are done, and in words what was measured in the last one.

        Args:
            step: steps done.
            parts: what was measured, the most important first.
            seconds: of the last step.
        """
        self._step = step
        self._seconds.add(seconds)
        left = duration((self._total - step) * self._seconds.value)
        parts = [*parts, f"{left} left"]
        if self._bar:
            room = self._bar.console.width - self._beside_status
            self._bar.update(self._task, completed=step, status=fitting(parts, room))
        elif time.monotonic() >= self._next_line or step == self._total:
            self._next_line = time.monotonic() + LINE_SECONDS
            self.say(f"step {step}/{self._total}  " + "  ".join(parts))

    def held_out(self, step: int, loss: float, bits_per_byte: float) -> None:
        """Show an evaluation."""
        self._held_out = [f"{bits_per_byte:.3f} bits/byte"]
        self.say(f"step {step}: held-out loss {loss:.4f}, {bits_per_byte:.4f} bits per byte")


def _make_bar(total: int, done: int) -> tuple[Any, Any, int]:
    """A bar with a status beside it, its task, and the columns that the status cannot have."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    bar_width = 20 if console.width >= 100 else 10
    bar = Progress(
        BarColumn(bar_width=bar_width),
        MofNCompleteColumn(),
        TextColumn("{task.fields[status]}"),
        console=console,
        refresh_per_second=4,
    )
    task = bar.add_task("training", total=total, completed=done, status="")
    return bar, task, bar_width + 2 * len(f" {total}") + 1
