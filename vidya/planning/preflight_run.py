"""All checks of preflight, in their order, and the line that each prints."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from vidya.errors import UserError
from vidya.planning import preflight_checks
from vidya.planning.preflight_checks import Check, CheckedRun, CheckFailed
from vidya.storage.run_folder import RunFolder
from vidya.system.scratch_folder import temporary_folder
from vidya.terminal.streams import show
from vidya.text.tokenizer_training import check_merges
from vidya.training import thread_choice
from vidya.training.options import TrainOptions
from vidya.training.run_corpora import survey


def check_run(
    options: TrainOptions, previous_tokenizer: Path | None, say: Callable[[str], None]
) -> list[bool]:
    """Make all checks, print a line for each, and return which passed.

    Args:
        options: of the run that is checked.
        previous_tokenizer: the one to compare the run's with; None: one trained for it.
        say: takes lines that tell the user what is going on.
    """
    check_merges(options.n_merges())
    sources = survey(options)
    thread_choice.use(options.threads)
    with temporary_folder(options.folder(), "preflight") as folder:
        say(f"working in {folder}, which is deleted at the end")
        with RunFolder(folder / "run") as run_folder:
            checked = CheckedRun(options, sources, run_folder, previous_tokenizer, say)
            return [
                _passes(name, check, checked) for name, check in preflight_checks.CHECKS.items()
            ]


def _passes(name: str, check: Check, checked: CheckedRun) -> bool:
    """Make a check, print its line, and return whether it passed."""
    start = time.perf_counter()
    try:
        word, figure = "ok  ", check(checked)
    except (CheckFailed, UserError) as error:
        word, figure = "FAIL", str(error)
    except Exception as error:  # whatever is broken, the other checks are made
        word, figure = "FAIL", f"{type(error).__name__}: {error}"
    seconds = time.perf_counter() - start
    show(f"{word}  {name:<21}  {seconds:6.1f} s  {' '.join(figure.split())}")
    return word != "FAIL"
