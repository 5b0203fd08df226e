"""The lines that show the plans of runs side by side: what one gets, and what it takes."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping

from vidya.model.parameters import parameter_parts
from vidya.planning.expected_quality import quality_lines
from vidya.planning.run_plan import RunPlan
from vidya.storage import checkpoint_folder
from vidya.terminal.formatting import byte_size, duration
from vidya.terminal.tables import table_lines
from vidya.training.memory_plan import MemoryPlan
from vidya.training.run_length import StepSpeed

Figures = Mapping[str, Callable[[RunPlan], str]]
"""Rows of a table: what each is called, and its figure of a run."""
Told = Mapping[str, Mapping[str, str]]
"""What ROAD_TO_25M said, for a program in float64 on one thread: by preset, and name of the row."""
_MOMENTS = "optimizer (Adam's moments)"
_KEPT = "kept for backward (activations)"
_ROAD_PARAMETERS = {"10m": {"total": "~10 M"}, "25m": {"total": "~25 M"}}
_ROAD_MEMORY = {
    "25m": {
        "weights": "200", "gradients": "200", _MOMENTS: "400", _KEPT: "500-1,000",
        "total": "1,500-2,000",
    }
}  # fmt: skip
_ONE_DOCUMENT = "seconds a step of one document"
_ROAD_STEP = {"10m": {_ONE_DOCUMENT: "0.8 s"}, "25m": {_ONE_DOCUMENT: "3-5 s"}}


def report_lines(plans: list[RunPlan], now: datetime.datetime, *, road: bool = False) -> list[str]:
    """All tables of the plans, and what they leave open.

    Args:
        plans: of runs on the same corpus.
        now: when they would begin.
        road: whether what ROAD_TO_25M estimated stands beside the figures.
    """
    parameters, memory, step = (
        (_ROAD_PARAMETERS, _ROAD_MEMORY, _ROAD_STEP) if road else ({}, {}, {})
    )
    return [
        *(line for plan in plans for line in [*quality_lines(plan, now), ""]),
        *_parameters(plans, parameters), "", *_corpus(plans), "", *_memory(plans, memory), "",
        *_step(plans, step), "",
        *(line for plan in plans for line in _lengths(plan, now, road)), *_closing(plans),
    ]  # fmt: skip


def _side_by_side(title: str, plans: list[RunPlan], figures: Figures, told: Told) -> list[str]:
    """A table with a column a run, and one beside it for what had been estimated."""
    columns = [[title, *figures]]
    for plan in plans:
        preset = plan.options.preset
        columns.append([preset, *(figure(plan) for figure in figures.values())])
        if preset in told:
            columns.append(["the road said", *(told[preset].get(name, "") for name in figures)])
    return table_lines([list(row) for row in zip(*columns, strict=True)])


def _parameters(plans: list[RunPlan], road: Told) -> list[str]:
    def part(name: str) -> Callable[[RunPlan], str]:
        return lambda plan: f"{parameter_parts(plan.config)[name]:,}"

    figures = {
        **{name: part(name) for name in parameter_parts(plans[0].config)},
        "total": lambda plan: f"{plan.config.parameter_count():,}",
        "width": lambda plan: f"{plan.config.n_embd:,}",
        "layers": lambda plan: f"{plan.config.n_layer:,}",
        "heads": lambda plan: f"{plan.config.n_head:,}",
        "context": lambda plan: f"{plan.config.context:,}",
        "vocabulary": lambda plan: f"{plan.config.vocab_size:,}",
    }
    return _side_by_side("numbers that are learnt", plans, figures, road)


def _corpus(plans: list[RunPlan]) -> list[str]:
    figures: Figures = {
        "documents (conversations, lines)": lambda plan: f"{plan.prepared.documents:,}",
        "tokens in one pass over it": lambda plan: f"{plan.trial.epoch_tokens:,}",
        "characters per token": lambda plan: f"{plan.prepared.characters_per_token:.2f}",
        "steps of one document in a pass": lambda plan: f"{plan.trial.epoch_documents:,}",
        "preparing it: time": lambda plan: duration(plan.prepared.seconds),
        "preparing it: most memory": lambda plan: byte_size(plan.prepared.peak_bytes),
    }
    return _side_by_side("text (corpus)", plans, figures, {})


def _memory(plans: list[RunPlan], road: Told) -> list[str]:
    def planned(count: Callable[[MemoryPlan], int]) -> Callable[[RunPlan], str]:
        return lambda plan: f"{count(plan.trial.memory.planned) / 1e6:,.1f}"

    def step_alone(planned: MemoryPlan) -> int:
        """Bytes before the first evaluation and the first checkpoint."""
        return planned.total - planned.evaluation - planned.snapshot

    def measured(taken: int, estimated: int) -> str:
        return f"{taken / 1e6:,.1f} ({taken / estimated:.0%})"

    figures: Figures = {
        "weights": planned(lambda parts: parts.parameters),
        "gradients": planned(lambda parts: parts.gradients),
        _MOMENTS: planned(lambda parts: parts.moments),
        _KEPT: planned(lambda parts: parts.activations),
        "evaluation": planned(lambda parts: parts.evaluation),
        "checkpoint on its way": planned(lambda parts: parts.snapshot),
        "where documents begin (index)": planned(lambda parts: parts.corpus),
        "Python and libraries": planned(lambda parts: parts.base),
        "total": planned(lambda parts: parts.total),
        "without evaluation and checkpoint": planned(step_alone),
        "measured: the longest step": lambda plan: measured(
            plan.trial.memory.step, step_alone(plan.trial.memory.planned)
        ),
        "measured: with both": lambda plan: measured(
            plan.trial.memory.run, plan.trial.memory.planned.total
        ),
    }
    return _side_by_side("memory, estimated, MB", plans, figures, road)


def _step(plans: list[RunPlan], road: Told) -> list[str]:
    def seconds(speed: StepSpeed) -> str:
        return f"{speed.seconds:.3f} ±{speed.error / speed.seconds:.1%}"

    of_the_road: Figures = {
        _ONE_DOCUMENT: lambda plan: seconds(plan.alone),
        "tokens in it, mean": lambda plan: f"{plan.alone.tokens:,.0f}",
    }
    figures: Figures = {
        **(of_the_road if road else {}),
        "seconds a step of a batch": lambda plan: seconds(plan.batched),
        "tokens in it, mean ": lambda plan: f"{plan.batched.tokens:,.0f}",
        "tokens a second": lambda plan: f"{plan.batched.tokens_per_s:,.0f}",
        "seconds an evaluation": lambda plan: f"{plan.trial.evaluation:.2f}",
        "seconds of its samples": lambda plan: f"{plan.trial.samples:.2f}",
        "seconds a checkpoint": lambda plan: f"{plan.trial.checkpoint:.2f}",
        "threads, precision, instructions": lambda plan: (
            f"{plan.trial.threads}, {plan.trial.precision}, {plan.trial.instructions}"
        ),
    }
    return _side_by_side("time, measured", plans, figures, road)


def _lengths(plan: RunPlan, now: datetime.datetime, road: bool) -> list[str]:
    rows = [[f"{plan.options.preset}, begun now", "steps", "passes", "takes", "finished", "disk"]]
    for schedule in plan.schedules():
        if schedule.of_the_road and not road:
            continue
        finish = now + datetime.timedelta(seconds=schedule.seconds)
        rows.append(
            [
                schedule.name, f"{schedule.steps:,}", f"{schedule.passes:.1f}",
                duration(schedule.seconds), f"{finish:%Y-%m-%d %H:%M}",
                byte_size(plan.disk_bytes(schedule.steps)),
            ]
        )  # fmt: skip
    return [*table_lines(rows), ""]


def _closing(plans: list[RunPlan]) -> list[str]:
    keep = plans[0].options.keep
    caches = ", ".join(byte_size(plan.prepared.cache_bytes) for plan in plans)
    each = ", ".join(byte_size(plan.trial.checkpoint_bytes) for plan in plans)
    return [
        f"disk: a training checkpoint is {each}, the newest {keep} and every "
        f"{checkpoint_folder.MILESTONE}th are kept; token caches {caches}, counted",
        "times include evaluations, sampled replies and checkpoints",
    ]
