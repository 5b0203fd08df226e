"""Watch a run in the terminal: `python -m vidya.monitor [RUN]`.

Shows a run that goes on, or one that has ended: curves, speed, what is left, the last
replies. It only reads, so it disturbs no training, and any number may watch.
"""

# No `from __future__ import annotations` here: tyro reads the annotations in `main`,
# which name things that are imported only when it runs.

import contextlib
import select
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vidya.errors import UserError, run_command
from vidya.terminal.command_line import parse

if TYPE_CHECKING:
    from rich.console import Console

    from vidya.reporting.run_history import RunHistory

SECONDS = 2.0
"""Between two looks at the run."""
_KEY_SECONDS = 0.2  # between two looks at the keyboard and the size of the terminal


@dataclass(frozen=True)
class Options:
    """What `python -m vidya.monitor` is asked to do."""

    run: Path | None
    once: bool


def main() -> int | None:
    """Show the run that the command line names."""
    import tyro

    def monitor(run: tyro.conf.Positional[Path | None] = None, /, *, once: bool = False) -> Options:
        """Watch a run in the terminal: curves, speed, time left, last replies. q leaves.

        Args:
            run: Run folder. Default: the newest run.
            once: Print one frame and end, as it is where stdout is no terminal.
        """
        return Options(run, once)

    options = parse(monitor, "monitor")
    from rich.console import Console

    from vidya.reporting.run_history import RunHistory
    from vidya.storage.find_model import newest_run

    folder = options.run or newest_run()
    if not (folder / "metrics.jsonl").is_file():
        raise UserError(
            f"no metrics in {folder}/: name a run folder, or start a run with "
            "`python -m vidya.train`"
        )
    history, console = RunHistory(folder / "metrics.jsonl"), Console()
    if options.once or not console.is_terminal:
        history.update()
        for line in _lines(history, folder, console.width, max(24, console.height)):
            console.print(line, soft_wrap=True)
        return None
    _watch(history, folder, console)
    return None


def _lines(history: "RunHistory", folder: Path, width: int, height: int) -> list[object]:
    from vidya.reporting.monitor_frame import frame, glance

    return list(frame(history, glance(folder, history), width, height))


def _watch(history: "RunHistory", folder: Path, console: "Console") -> None:
    """Draw anew every few seconds, and at once when the terminal changes its size."""
    from rich.console import Group
    from rich.live import Live

    with (
        contextlib.suppress(KeyboardInterrupt),
        _keys() as leaves,
        Live(console=console, screen=True, auto_refresh=False) as live,
    ):
        drawn, at = None, 0.0
        while True:
            size = console.size
            if size != drawn or time.monotonic() - at >= SECONDS:
                history.update()
                drawn, at = size, time.monotonic()
                lines = _lines(history, folder, size.width, size.height)
                live.update(Group(*lines), refresh=True)  # type: ignore[arg-type]
            if leaves(_KEY_SECONDS):
                return


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[float], bool]]:
    """A function that waits so many seconds and says whether q was pressed meanwhile."""
    if not sys.stdin.isatty():

        def wait(seconds: float) -> bool:
            time.sleep(seconds)
            return False

        yield wait
        return
    import termios
    import tty

    def pressed(seconds: float) -> bool:
        if not select.select([sys.stdin], [], [], seconds)[0]:
            return False
        key = sys.stdin.read(1)
        return key in ("q", "Q", "")  # "": the terminal is gone

    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield pressed
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


if __name__ == "__main__":
    raise SystemExit(run_command(main))
