"""What a long run will take, before it starts: `python -m vidya.plan --preset 25m --data …`.

Parameters, memory, time, finishing dates and disk, by arithmetic and by steps of the run
itself. Corpora are prepared in a temporary folder beside the run's, deleted at the end;
the run folder is neither made nor touched.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import json
import sys
from dataclasses import dataclass

from vidya.errors import UserError, place_chosen_with
from vidya.model.presets import PresetName
from vidya.planning.planned_run_options import PlannedRunOptions
from vidya.terminal.command_frame import run_command
from vidya.terminal.command_line import parse
from vidya.terminal.streams import say, show
from vidya.training.options import TrainOptions
from vidya.training.train_help import train_page


@dataclass(frozen=True, kw_only=True)
class PlanOptions(PlannedRunOptions):
    """Say what a run would take: parameters, memory, time, finishing dates, disk.

    Takes the options of vidya.train. Nothing is written into the run folder: tokenizer and
    token caches are made in a temporary folder beside it and deleted at the end.
    """

    compare: PresetName | None = None
    """Another preset to show side by side, each with its own dimensions and merges."""
    compare_road: bool = False
    """Show beside the figures what ROAD_TO_25M, the plan that the presets come from, estimated."""
    measure_seconds: float = 25.0
    """How long the speed of steps is measured, for batches and for one-document steps each."""
    json: bool = False
    """Print one JSON object instead of tables."""

    def check(self) -> None:
        """As for a training."""
        super().check()
        if not 0 < self.measure_seconds <= 3600:
            raise UserError(
                f"--measure-seconds must be above 0 and at most 3600, not {self.measure_seconds}"
            )

    def runs(self) -> list[TrainOptions]:
        """The run that is planned, and the one that it is compared with."""
        own = self.training()
        if self.compare is None:
            return [own]
        other = dataclasses.replace(
            own, preset=self.compare, merges=None, n_embd=None, n_layer=None, n_head=None,
            context=None, lr=None, warmup=None,
        )  # fmt: skip
        return [own, other]


PAGE = train_page(
    (
        ("--preset 25m --minutes 600", "what a night of training would come to"),
        ("--preset 25m --data chats.txt", "the same of your own text"),
        ("--preset 10m --compare 25m", "two sizes side by side"),
    )
)


@place_chosen_with("--out")
def main() -> int | None:
    """Plan the run that the command line describes, and print what was found out."""
    options = parse(PlanOptions, "plan", page=PAGE)
    options.check()
    # Loads NumPy and the kernels: not needed for --help.
    from vidya.planning import plan_memory, plan_report, run_plan

    report = functools.partial(
        plan_report.report_lines, now=datetime.datetime.now(), road=options.compare_road
    )
    somebody_waits = sys.stdout.isatty() and not options.json
    if somebody_waits and (known := plan_memory.recall_plans(options.runs())):
        show("\n".join(report(known.plans)))
        say(f"That was measured on {known.day}. It is measured again now: Ctrl-C if it is enough.")
    plans = run_plan.plan_runs(options.runs(), options.measure_seconds, say)
    plan_memory.remember_plans(plans)
    if options.json:
        print(json.dumps([plan.plain() for plan in plans], indent=1))
    else:
        show("\n".join(report(plans)))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
