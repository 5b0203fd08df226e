"""A run in the terminal: one frame of it, or one after the other for as long as somebody looks."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live

from vidya.errors import UserError
from vidya.reporting.monitor_frame import frame, glance
from vidya.reporting.run_history import RunHistory
from vidya.storage.find_model import newest_run
from vidya.storage.run_files import RunFiles
from vidya.terminal.key_reader import pressed_keys
from vidya.terminal.streams import can_move_cursor

SECONDS = 2.0
"""Time between two looks at the run."""
_KEY_SECONDS = 0.2  # between two looks at the keyboard and the size of the terminal


def show_run(run: Path | None, *, once: bool) -> None:
    """Show a run folder, by default that of the newest run, until q is pressed.

    With `once`, and where stdout is no terminal, one frame is printed.

    Raises:
        UserError: there is no run.
    """
    folder = run or newest_run(with_metrics=True)
    metrics = RunFiles(folder).metrics
    if not metrics.is_file():
        raise UserError(
            f"no metrics in {folder}/: name a run folder, or start a run with "
            "`python -m vidya.train`"
        )
    if not RunFiles(folder).has_metrics():
        raise UserError(f"{metrics} is of another program: name a run folder of vidya")
    history, console = RunHistory(metrics), Console()
    if once or not can_move_cursor(sys.stdout):
        history.update()
        size = console.width, max(24, console.height)
        for line in frame(history, glance(folder, history), *size):
            console.print(line, soft_wrap=True)
    else:
        _watch(history, folder, console)


def _watch(history: RunHistory, folder: Path, console: Console) -> None:
    """Draw anew every few seconds, and at once when the terminal changes its size."""
    with (
        contextlib.suppress(KeyboardInterrupt),
        pressed_keys() as wait_for_key,
        Live(console=console, screen=True, auto_refresh=False) as live,
    ):
        drawn, at, key = None, 0.0, None
        while key not in ("q", "Q", ""):
            size = console.size
            if size != drawn or time.monotonic() - at >= SECONDS:
                history.update()
                drawn, at = size, time.monotonic()
                lines = frame(history, glance(folder, history), size.width, size.height)
                live.update(Group(*lines), refresh=True)
            key = wait_for_key(_KEY_SECONDS)
