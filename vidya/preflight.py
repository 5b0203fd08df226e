"""Try everything that a long run needs: `python -m vidya.preflight --preset 25m --data …`.

One line a check. What is written goes to a temporary folder beside the run's, deleted at
the end; the run folder is neither made nor touched.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Suppress

from vidya.errors import UserError, place_chosen_with, run_command
from vidya.terminal.command_line import parse
from vidya.training.options import TrainOptions

if TYPE_CHECKING:
    from vidya.planning.preflight_checks import Check, Site


@dataclass(frozen=True)
class PreflightOptions(TrainOptions):
    """Check for real that a long run will work: one line a check, exit status 1 if one fails.

    Takes the options of vidya.train. Nothing is written into the run folder: the checks
    work in a temporary folder beside it, deleted at the end.
    """

    previous_tokenizer: Path | None = None
    """Tokenizer to compare with. Default: one of 2,000 merges (at most half of the run's),
    trained on the same text."""
    resume: Suppress[bool] = False
    overwrite: Suppress[bool] = False
    init: Suppress[Path | None] = None
    profile: Suppress[bool] = False
    tensorboard: Suppress[bool] = False

    def check(self) -> None:
        """As for a training."""
        super().check()
        path = self.previous_tokenizer
        if path is not None and not path.is_file():
            raise UserError(f"there is no tokenizer {path}: name a tokenizer.json")

    def run(self) -> TrainOptions:
        """The run that is checked."""
        fields = dataclasses.fields(TrainOptions)
        return TrainOptions(**{field.name: getattr(self, field.name) for field in fields})


@place_chosen_with("--out")
def main() -> int | None:
    """Make all checks on the run that the command line describes; 1 if one failed."""
    options = parse(PreflightOptions, "preflight")
    options.check()
    from vidya.planning.preflight_checks import CHECKS, Site
    from vidya.storage.run_folder import RunFolder
    from vidya.system.scratch_folder import temporary_folder
    from vidya.text.tokenizer_training import check_merges
    from vidya.training import thread_choice
    from vidya.training.run_corpora import survey

    run = options.run()
    check_merges(run.n_merges())
    sources = survey(run)
    thread_choice.use(run.threads)
    with temporary_folder(run.folder(), "preflight") as folder:
        _say(f"working in {folder}, which is deleted at the end")
        with RunFolder(folder / "run") as run_folder:
            site = Site(run, sources, run_folder, options.previous_tokenizer, _say)
            passed = [_made(name, check, site) for name, check in CHECKS.items()]
    failed = passed.count(False)
    print(f"all {len(passed)} checks passed" if not failed else f"{failed} of {len(passed)} failed")
    return 1 if failed else 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _made(name: str, check: Check, site: Site) -> bool:
    """Make a check, print its line, and return whether it passed."""
    from vidya.planning.preflight_checks import failure

    start = time.perf_counter()
    try:
        word, figure = "ok  ", check(site)
    except Exception as error:  # whatever is broken, the other checks are made
        word, figure = "FAIL", failure(error)
    seconds = time.perf_counter() - start
    print(f"{word}  {name:<21}  {seconds:6.1f} s  {' '.join(figure.split())}", flush=True)
    return word != "FAIL"


if __name__ == "__main__":
    raise SystemExit(run_command(main))
