"""Watch a run in the terminal: `python -m vidya.monitor [RUN]`.

Shows a run that goes on, or one that has ended: curves, speed, what is left, the last
replies. It only reads, so it disturbs no training, and any number may watch.
"""

# No `from __future__ import annotations` here: tyro reads the annotations in `main`,
# which name things that are imported only when it runs.

from dataclasses import dataclass
from pathlib import Path

from vidya.errors import run_command
from vidya.terminal.command_line import parse


def main() -> int | None:
    """Run `python -m vidya.monitor`."""
    import tyro

    @dataclass(frozen=True)
    class MonitorOptions:
        """Watch a run in the terminal: curves, speed, time left, last replies. q leaves."""

        run: tyro.conf.Positional[Path | None] = None
        """Run folder. Default: the newest run."""
        once: bool = False
        """Print one frame and end, as it is where stdout is no terminal."""

    options = parse(MonitorOptions, "monitor")
    from vidya.reporting.monitor_screen import show_run

    show_run(options.run, once=options.once)
    return None


if __name__ == "__main__":
    raise SystemExit(run_command(main))
