"""Which models there are: `python -m vidya.list [FOLDER]`."""

# No `from __future__ import annotations` here: tyro reads the annotations.

import sys
from dataclasses import dataclass
from pathlib import Path

from vidya.errors import UserError
from vidya.terminal.command_frame import run_command
from vidya.terminal.command_line import parse
from vidya.terminal.common_options import Options
from vidya.terminal.line_breaks import terminal_width
from vidya.terminal.streams import show


@dataclass(frozen=True, kw_only=True)
class ListOptions(Options):
    """List the models in a folder: size, text, steps, loss, fine-tuning, lessons.

    The one that was worked on last stands first: it is what commands use that are told no model.
    """

    folder: Path = Path("runs")
    """Folder of run folders."""


def main() -> int | None:
    """List the runs of a folder."""
    options = parse(ListOptions, "list", positional="folder")
    from vidya.reporting.run_overview import list_lines, overview, overviews

    if not options.folder.is_dir():
        raise UserError(
            f"there is no folder {options.folder}: name the one that your runs are in, or train "
            "a first model with `python -m vidya.train --preset nano`"
        )
    found = overviews(options.folder)
    if not found and (itself := overview(options.folder)) is not None:
        found = [itself]
    if not found:
        raise UserError(
            f"no model in {options.folder}/: train one with `python -m vidya.train --preset nano`"
        )
    show("\n".join(list_lines(found, terminal_width(sys.stdout))))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
