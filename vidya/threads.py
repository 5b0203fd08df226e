"""A training step with 1, 2, 4 threads: `python -m vidya.threads`.

Times steps of 512 random tokens at each preset, precision and number of threads, in
alternating rounds, and says which number is to be chosen. More threads than the process
has cores are timed on purpose, to show what they cost, and never chosen.
"""

import dataclasses
import json
from dataclasses import dataclass
from typing import Literal

from vidya.errors import UserError
from vidya.model.presets import PresetName
from vidya.terminal.command_frame import run_command
from vidya.terminal.command_line import parse
from vidya.terminal.common_options import Options
from vidya.terminal.streams import say, show

# No `from __future__ import annotations` here: tyro reads the annotations.


@dataclass(frozen=True, kw_only=True)
class ThreadComparisonOptions(Options):
    """Time a training step with several numbers of threads and say which to use."""

    preset: tuple[PresetName, ...] = ("10m", "25m")
    """Model sizes."""
    threads: tuple[int, ...] = (1, 2, 4)
    """Numbers of threads. More than there are cores show what that costs."""
    precision: tuple[Literal["fp32", "bf16"], ...] = ("fp32", "bf16")
    """Precisions of matrix products."""
    tokens: int = 512
    """Tokens of a step, in documents of the model's context."""
    json: bool = False
    """Print one JSON object instead of a table."""

    def check(self) -> None:
        """Raise `UserError` for what cannot be."""
        super().check()
        for name in ("preset", "threads", "precision"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise UserError(f"--{name} names a value twice: {' '.join(map(str, values))}")
        if not 1 <= self.tokens <= 1_000_000:
            raise UserError(f"--tokens must be between 1 and 1000000, not {self.tokens}")


def main() -> int | None:
    """Time what the command line asks for and print the comparisons."""
    options = parse(ThreadComparisonOptions, "threads")
    options.check()
    # Loads NumPy and the kernels: not needed for --help.
    from vidya.planning import thread_comparison

    thread_comparison.require_threads(options.threads)
    found = []
    for comparison in thread_comparison.compare_threads(
        options.preset, options.precision, options.threads, options.tokens, say
    ):
        found.append(comparison)
        if not options.json:
            show("\n".join(comparison.lines()))
    if options.json:
        print(json.dumps({"comparisons": list(map(dataclasses.asdict, found))}, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
