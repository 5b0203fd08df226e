"""Watch a run in the terminal: `python -m vidya.monitor [RUN]`.

Shows a run that goes on, or one that has ended: curves, speed, what is left, the last
replies. It only reads, so it disturbs no training, and any number may watch.
"""

# No `from __future__ import annotations` here: tyro reads the annotations.

from dataclasses import dataclass
from pathlib import Path

from vidya.terminal.command_frame import run_command
from vidya.terminal.command_line import parse


@dataclass(frozen=True)
class MonitorOptions:
    """Watch a run in the terminal: curves, speed, time left, last replies.

    q leaves; n and p show the next run and the one before.
    """

    run: Path | None = None
    """Run folder. Default: the run that is being prepared or trained, or else the newest."""
    once: bool = False
    """Print one frame and end, as it is where stdout is no terminal."""


def main() -> None:
    """Run `python -m vidya.monitor`."""
    options = parse(MonitorOptions, "monitor", positional="run")
    from vidya.reporting.monitor_screen import show_run

    show_run(options.run, once=options.once)


if __name__ == "__main__":
    raise SystemExit(run_command(main))
