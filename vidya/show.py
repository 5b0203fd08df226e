"""All about one model: `python -m vidya.show [NAME]`."""

# No `from __future__ import annotations` here: tyro reads the annotations.

import shlex
from dataclasses import dataclass
from pathlib import Path

from vidya.errors import UserError
from vidya.terminal.command_frame import run_command
from vidya.terminal.command_line import parse
from vidya.terminal.common_options import Options
from vidya.terminal.streams import show, show_next


@dataclass(frozen=True, kw_only=True)
class ShowOptions(Options):
    """Show what a model is, what it has learnt from, and how to use it."""

    model: Path | None = None
    """A run folder, or the name of one in runs/. Default: the newest run."""


def main() -> int | None:
    """Show one run."""
    options = parse(ShowOptions, "show", positional="model")
    from vidya.reporting.run_overview import overview, show_lines
    from vidya.storage.find_model import named_folder, newest_run

    folder = newest_run() if options.model is None else named_folder(options.model)
    found = overview(folder)
    if found is None:
        raise UserError(f"{folder} is no run folder of vidya: `python -m vidya.list` lists those")
    show("\n".join(show_lines(found)))
    where = shlex.quote(str(folder))
    talk = [("talk to it", f"python -m vidya.chat {where}")] if found.checkpoint else []
    show_next([*talk, ("see its curve", f"python -m vidya.plot {where}")])
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
