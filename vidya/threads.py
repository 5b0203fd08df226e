"""A training step with 1, 2, 4 threads: `python -m vidya.threads`.

Times steps of 512 random tokens at each preset, precision and number of threads, in
alternating rounds, and says which number is to be chosen. More threads than the process
has cores are timed on purpose, to show what they cost, and never chosen.
"""

from __future__ import annotations

import json
import sys

from vidya.errors import run_command
from vidya.planning.thread_comparison import ThreadOptions, comparisons
from vidya.terminal.command_line import parse


def main() -> int | None:
    """Time what the command line asks for and print the comparisons."""
    options = parse(ThreadOptions, "threads")
    options.check()
    found = []
    for comparison in comparisons(options, _say):
        found.append(comparison)
        if not options.json:
            print("\n".join(comparison.lines()), flush=True)
    if options.json:
        print(json.dumps({"comparisons": [one.plain() for one in found]}, indent=1))
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(run_command(main))
