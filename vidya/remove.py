"""Delete a model for good: `python -m vidya.remove NAME`.

It asks first. Only files that vidya wrote are deleted, and the folder if nothing else is in it;
a run that is being trained, or taught, is refused.
"""

# No `from __future__ import annotations` here: tyro reads the annotations.

import sys
from dataclasses import dataclass
from pathlib import Path

from vidya.errors import UserError
from vidya.terminal.command_frame import run_command
from vidya.terminal.command_line import parse
from vidya.terminal.common_options import Options
from vidya.terminal.formatting import byte_size
from vidya.terminal.streams import show


@dataclass(frozen=True, kw_only=True)
class RemoveOptions(Options):
    """What `python -m vidya.remove` is asked to do."""

    model: Path
    """The run folder, or the name of one in runs/."""
    yes: bool = False
    """Do not ask."""


def main() -> int | None:
    """Delete a run folder."""
    options = parse(RemoveOptions, "remove", description=__doc__, positional="model")
    from vidya.reporting.run_overview import overview, show_lines
    from vidya.storage.find_model import named_folder
    from vidya.storage.removed_run import remove_run, require_removable

    folder = named_folder(options.model)
    found = overview(folder)
    if found is None:
        raise UserError(f"{folder} is no run folder of vidya: nothing is deleted")
    require_removable(folder)
    if not options.yes:
        if not sys.stdin.isatty():
            raise UserError("there is no terminal to ask in: --yes deletes without asking")
        show("\n".join(show_lines(found)))
        print(f"delete {folder} for good? [y/N] ", end="", flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            print("nothing was deleted")
            return 1
    freed, left = remove_run(folder)
    show(f"{folder} was deleted: {byte_size(freed)} are free again")
    if left:
        names = ", ".join(left[:5]) + (" …" if len(left) > 5 else "")
        show(f"not vidya's, so it stays in {folder}: {names}")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
