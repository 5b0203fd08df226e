"""Teach a model by talking to it: it offers answers, you choose or correct, it learns at once.

In a terminal: write a message, pick one of the answers by its number, or type a better one;
/help tells the rest. Every lesson is written to teach.jsonl in the run folder before it is
learnt, and the taught model to BASE_train.bin after it: quitting or a crash loses nothing.

For programs: --ask TEXT prints the answers, and then --pick 3, --answer TEXT or --reject
learns from that. --ask and --answer together teach without asking first.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from vidya.errors import run_command
from vidya.posttraining.teaching.options import TeachOptions
from vidya.terminal.command_line import parse
from vidya.terminal.streams import replace_unknown_characters


def main() -> int | None:
    """Run `python -m vidya.teach`."""
    import tyro

    @dataclass(frozen=True, kw_only=True)
    class Arguments(TeachOptions):
        model: tyro.conf.Positional[Optional[Path]] = None  # noqa: UP045
        """A checkpoint or a run folder; by default the newest run in runs/."""

    arguments = parse(Arguments, "teach", description=__doc__)
    return run(arguments.model, arguments)


def run(model: Path | None, options: TeachOptions) -> int:
    """Do what the options ask for, or teach in the terminal; returns the exit status."""
    options.check()
    replace_unknown_characters(sys.stdout, sys.stderr)
    from vidya.posttraining.teaching.actions import teach

    return teach(model, options, _show)


def _show(found: str | dict[str, Any]) -> None:
    if isinstance(found, dict):
        unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
        found = json.dumps(found, ensure_ascii=not unicode)
    print(found, flush=True)


if __name__ == "__main__":
    sys.exit(run_command(main))
