"""Try everything that a long run needs: `python -m vidya.preflight --preset 25m --data …`.

One line a check. What is written goes to a temporary folder beside the run's, deleted at
the end; the run folder is neither made nor touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vidya.errors import UserError, place_chosen_with
from vidya.planning.planned_run_options import PlannedRunOptions
from vidya.terminal.command_frame import run_command
from vidya.terminal.command_line import parse
from vidya.terminal.streams import output_is_not_essential, say, show
from vidya.training.train_help import train_page


@dataclass(frozen=True, kw_only=True)
class PreflightOptions(PlannedRunOptions):
    """Check for real that a long run will work: one line a check, exit status 1 if one fails.

    Takes the options of vidya.train. Nothing is written into the run folder: the checks
    work in a temporary folder beside it, deleted at the end.
    """

    previous_tokenizer: Path | None = None
    """Tokenizer to compare with. Default: one of 2,000 merges (at most half of the run's),
    trained on the same text."""

    def check(self) -> None:
        """As for a training."""
        super().check()
        path = self.previous_tokenizer
        if path is not None and not path.is_file():
            raise UserError(f"there is no tokenizer {path}: name a tokenizer.json")


PAGE = train_page((("--preset 25m --data chats.txt --out /disk/25m", "the run that is to begin"),))


@place_chosen_with("--out")
def main() -> int | None:
    """Make all checks on the run that the command line describes; 1 if one failed."""
    options = parse(PreflightOptions, "preflight", page=PAGE)
    options.check()
    output_is_not_essential()
    # Loads NumPy and the kernels: not needed for --help.
    from vidya.planning.preflight_run import check_run

    passed = check_run(options.training(), options.previous_tokenizer, say)
    failed = passed.count(False)
    show(f"all {len(passed)} checks passed" if not failed else f"{failed} of {len(passed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
