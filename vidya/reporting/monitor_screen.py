"""Runs in the terminal: one frame of one, or one after the other for as long as somebody looks."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from vidya.errors import UserError
from vidya.reporting.monitor_frame import frame, glance
from vidya.reporting.run_history import RunHistory
from vidya.storage.find_model import by_name, newest_run, runs_in_use, runs_to_watch
from vidya.storage.run_files import RunFiles
from vidya.storage.run_folder import training_process
from vidya.terminal.formatting import fitting
from vidya.terminal.key_reader import pressed_keys
from vidya.terminal.streams import can_move_cursor, colour_system

SECONDS = 2.0
"""Time between two looks at the run."""
_KEY_SECONDS = 0.2  # between two looks at the keyboard and the size of the terminal
_STEPS = {"n": 1, " ": 1, "p": -1}
"""Keys that page through the runs, and by how many."""


class WatchedRuns:
    """The runs that can be looked at, and the one that is shown.

    Until somebody pages, that is the run that is being prepared or trained, or else the last:
    a training that begins meanwhile is followed.
    """

    def __init__(self, named: Path | None) -> None:
        """`named` is the run folder to begin with, and to stay at; None: the first of all.

        Raises:
            UserError: there is no run.
        """
        self._stays = named is not None
        self._histories: dict[Path, RunHistory] = {}
        in_use = runs_in_use()
        self.shown = named or (in_use[0] if in_use else newest_run(with_metrics=True))
        _require_run(self.shown)
        self._folders = runs_to_watch()

    def look_again(self) -> None:
        """Show a run that has begun meanwhile, unless somebody chose the one that is shown."""
        in_use = runs_in_use()
        if not self._stays and in_use and in_use[0] != self.shown:
            self.shown, self._folders = in_use[0], runs_to_watch()

    def page(self, by: int) -> None:
        """Show another run, so many further on, and stay there."""
        self._folders = runs_to_watch()
        if self._folders:
            self.shown = self._folders[(self._place() + by) % len(self._folders)]
            self._stays = True

    def _place(self) -> int:
        """Where the run that is shown stands among all; -1: somewhere else."""
        real = [path.resolve() for path in self._folders]
        here = self.shown.resolve()
        return real.index(here) if here in real else -1

    def lines(self, width: int, height: int) -> list[Text]:
        """What is shown now, at most so wide and high."""
        history = self._histories.setdefault(self.shown, RunHistory(RunFiles(self.shown).metrics))
        history.update()
        return frame(history, glance(self.shown, history), width, height)

    def keys(self, width: int) -> Text:
        """The line that says which keys do something."""
        parts = ["q leaves"]
        if len(self._folders) > 1:
            parts.append(
                f"n, p: next and previous run ({self._place() + 1} of {len(self._folders)})"
            )
        line = Text(fitting(parts, width), style="bright_black", no_wrap=True)
        line.truncate(width)
        return line


def show_run(run: Path | None, *, once: bool) -> None:
    """Show a run folder, by default the run that is prepared or trained, until q is pressed.

    With `once`, and where stdout is no terminal, one frame is printed.

    Raises:
        UserError: there is no run.
    """
    runs = WatchedRuns(None if run is None else by_name(run))
    console = Console(color_system=colour_system())
    if once or not can_move_cursor(sys.stdout):
        for line in runs.lines(console.width, max(24, console.height)):
            console.print(line, soft_wrap=True)
    else:
        _watch(runs, console)


def _require_run(folder: Path) -> None:
    if RunFiles(folder).has_metrics() or training_process(folder) is not None:
        return
    metrics = RunFiles(folder).metrics
    if metrics.is_file():
        raise UserError(f"{metrics} is of another program: name a run folder of vidya")
    if not folder.is_dir():
        what = "no folder" if folder.exists() else "not there"
        raise UserError(
            f"{folder} is {what}: name a run folder (`python -m vidya.list` lists yours)"
        )
    raise UserError(
        f"no metrics in {folder}/: name a run folder, or start a run with `python -m vidya.train`"
    )


def _watch(runs: WatchedRuns, console: Console) -> None:
    """Draw anew every few seconds, and at once at a key or when the terminal changes its size."""
    with (
        contextlib.suppress(KeyboardInterrupt),
        pressed_keys() as wait_for_key,
        Live(console=console, screen=True, auto_refresh=False) as live,
    ):
        drawn, at, key = None, 0.0, None
        while key not in ("q", "Q", ""):
            size = console.size
            if by := _STEPS.get(key or "", 0):
                runs.page(by)
            if by or size != drawn or time.monotonic() - at >= SECONDS:
                runs.look_again()
                drawn, at = size, time.monotonic()
                lines = runs.lines(size.width, size.height - 1)
                room = [Text("")] * (size.height - 1 - len(lines))
                live.update(Group(*lines, *room, runs.keys(size.width)), refresh=True)
            key = wait_for_key(_KEY_SECONDS)
