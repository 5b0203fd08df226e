"""What a long run will take, before it starts: `python -m vidya.plan --preset 25m --data …`.

Parameters, memory, time, finishing dates and disk, by arithmetic and by steps of the run
itself. Corpora are prepared in a temporary folder beside the run's, deleted at the end;
the run folder is neither made nor touched.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Suppress

from vidya.errors import UserError, place_chosen_with, run_command
from vidya.model.presets import preset
from vidya.terminal.command_line import parse
from vidya.training.options import TrainOptions

if TYPE_CHECKING:
    from vidya.planning.run_plan import RunPlan
    from vidya.training.run_corpora import CorpusSources


@dataclass(frozen=True)
class PlanOptions(TrainOptions):
    """Say what a run would take: parameters, memory, time, finishing dates, disk.

    Takes the options of vidya.train. Nothing is written into the run folder: tokenizer and
    token caches are made in a temporary folder beside it and deleted at the end.
    """

    compare: str | None = None
    """Another preset to show side by side, each with its own dimensions and merges."""
    measure_seconds: float = 25.0
    """How long the speed of steps is measured, for batches and for one-document steps each."""
    json: bool = False
    """Print one JSON object instead of tables."""
    resume: Suppress[bool] = False
    overwrite: Suppress[bool] = False
    init: Suppress[Path | None] = None
    profile: Suppress[bool] = False
    tensorboard: Suppress[bool] = False

    def check(self) -> None:
        """As for a training."""
        super().check()
        if not 0 < self.measure_seconds <= 3600:
            raise UserError(
                f"--measure-seconds must be above 0 and at most 3600, not {self.measure_seconds}"
            )
        if self.compare is not None:
            preset(self.compare)

    def runs(self) -> list[TrainOptions]:
        """The run that is planned, and the one that it is compared with."""
        fields = dataclasses.fields(TrainOptions)
        own = TrainOptions(**{field.name: getattr(self, field.name) for field in fields})
        if self.compare is None:
            return [own]
        other = dataclasses.replace(
            own, preset=self.compare, merges=None, n_embd=None, n_layer=None, n_head=None,
            context=None, lr=None, warmup=None,
        )  # fmt: skip
        return [own, other]


@place_chosen_with("--out")
def main() -> int | None:
    """Plan the run that the command line describes, and print what was found out."""
    options = parse(PlanOptions, "plan")
    options.check()
    from vidya.planning.report import report
    from vidya.training.run_corpora import survey

    runs = options.runs()
    sources = survey(runs[0])
    plans = [_plan(run, sources, options.measure_seconds) for run in runs]
    if options.json:
        print(json.dumps([plan.plain() for plan in plans], indent=1))
    else:
        print("\n".join(report(plans, datetime.datetime.now())))
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _plan(options: TrainOptions, sources: CorpusSources, seconds: float) -> RunPlan:
    """Prepare the corpora in a temporary folder and try the run out there."""
    from vidya.planning import trial_run
    from vidya.planning.run_plan import RunPlan, prepared
    from vidya.system.scratch_folder import temporary_folder

    with temporary_folder(options.folder(), "plan") as folder:
        _say(f"{options.preset}: working in {folder}, which is deleted at the end")
        before = prepared(folder / "run", options, sources, _say)
        _say(f"{options.preset}: timing steps in a process of its own, about {2 * seconds:.0f} s")
        return RunPlan(options, before, trial_run.run_trial(options, folder / "run", seconds))


if __name__ == "__main__":
    raise SystemExit(run_command(main))
