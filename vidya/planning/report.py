"""The lines that show the plan of a run."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from vidya.model.parameters import parameter_parts
from vidya.planning.run_plan import RunPlan
from vidya.storage import checkpoint_folder
from vidya.terminal.formatting import byte_size, duration
from vidya.terminal.tables import aligned_rows
from vidya.training import memory_plan

_ROAD_PARAMETERS = {"10m": "~10 M", "25m": "~25 M"}
_ROAD_MEMORY = {
    "25m": {
        "weights": "200", "gradients": "200", "Adam's moments": "400",
        "activations": "500-1,000", "total": "1,500-2,000",
    }
}  # fmt: skip
_ROAD_STEP = {"10m": "0.8 s", "25m": "3-5 s"}


# ---------------------------------------------------------------- the report


def report(plans: list[RunPlan], now: datetime.datetime) -> list[str]:
    """The lines that show the plans side by side."""
    return [
        *_parameters(plans), "", *_corpus(plans), "", *_memory(plans), "", *_step(plans), "",
        *(line for plan in plans for line in _lengths(plan, now)), *_closing(plans),
    ]  # fmt: skip


def _header(title: str, plans: list[RunPlan], told: dict[str, Any]) -> list[str]:
    columns = [title]
    for plan in plans:
        columns.append(plan.options.preset)
        if plan.options.preset in told:
            columns.append("the road said")
    return columns


def _row(
    name: str, plans: list[RunPlan], value: Callable[[RunPlan], str], told: dict[str, Any],
    said: Callable[[Any], str] = lambda _: "",
) -> list[str]:  # fmt: skip
    cells = [name]
    for plan in plans:
        cells.append(value(plan))
        if plan.options.preset in told:
            cells.append(said(told[plan.options.preset]))
    return cells


def _parameters(plans: list[RunPlan]) -> list[str]:
    rows = [_header("parameters", plans, _ROAD_PARAMETERS)]
    for part in parameter_parts(plans[0].config):
        rows.append(
            _row(part, plans, lambda plan, part=part: f"{_parts(plan)[part]:,}", _ROAD_PARAMETERS)  # type: ignore[misc]
        )
    rows.append(
        _row("total", plans, lambda plan: f"{sum(_parts(plan).values()):,}", _ROAD_PARAMETERS, str)
    )
    rows.append(
        _row(
            "width/layers/heads/context/vocabulary", plans,
            lambda plan: "/".join(
                str(getattr(plan.config, name))
                for name in ("n_embd", "n_layer", "n_head", "context", "vocab_size")
            ),
            _ROAD_PARAMETERS,
        )
    )  # fmt: skip
    return aligned_rows(rows, "")


def _parts(plan: RunPlan) -> dict[str, int]:
    return parameter_parts(plan.config)


def _corpus(plans: list[RunPlan]) -> list[str]:
    figures: dict[str, Callable[[RunPlan], str]] = {
        "documents": lambda plan: f"{plan.prepared.documents:,}",
        "tokens to predict in a pass": lambda plan: f"{plan.trial.epoch_tokens:,}",
        "characters per token": lambda plan: f"{plan.prepared.characters_per_token:.2f}",
        "one-document steps in a pass": lambda plan: f"{plan.trial.epoch_documents:,}",
        "preparing it: time": lambda plan: duration(plan.prepared.seconds),
        "preparing it: most memory": lambda plan: byte_size(plan.prepared.peak_bytes),
    }
    return aligned_rows([_header("corpus", plans, {}), *_rows(plans, figures)], "")


def _rows(plans: list[RunPlan], figures: dict[str, Callable[[RunPlan], str]]) -> list[list[str]]:
    return [_row(name, plans, value, {}) for name, value in figures.items()]


def _memory(plans: list[RunPlan]) -> list[str]:
    def planned(plan: RunPlan) -> dict[str, int]:
        parts = plan.trial.memory.planned
        return {
            "weights": parts.parameters,
            "gradients": parts.gradients,
            "Adam's moments": parts.moments,
            "activations": parts.activations,
            "evaluation": parts.evaluation,
            "checkpoint on its way": parts.snapshot,
            "corpus index (tokens are mapped)": parts.corpus,
            "Python, libraries, tokenizer": parts.base,
            "total": parts.total,
            "without evaluation and checkpoint": _step_alone(parts),
        }

    rows = [_header("memory, estimated, MB", plans, _ROAD_MEMORY)]
    for part in planned(plans[0]):
        rows.append(
            _row(
                part, plans, lambda plan, part=part: f"{planned(plan)[part] / 1e6:,.1f}",  # type: ignore[misc]
                _ROAD_MEMORY, lambda said, part=part: said.get(part, ""),  # type: ignore[misc]
            )
        )  # fmt: skip

    def measured(taken: int, estimated: int) -> str:
        return f"{taken / 1e6:,.1f} ({taken / estimated:.0%})"

    def longest_step(plan: RunPlan) -> str:
        return measured(plan.trial.memory.step, _step_alone(plan.trial.memory.planned))

    def whole_run(plan: RunPlan) -> str:
        return measured(plan.trial.memory.run, plan.trial.memory.planned.total)

    rows.append(_row("measured: the longest step", plans, longest_step, _ROAD_MEMORY))
    rows.append(_row("measured: evaluation, checkpoint too", plans, whole_run, _ROAD_MEMORY))
    return aligned_rows(rows, "")


def _step_alone(planned: memory_plan.MemoryPlan) -> int:
    """Bytes of a step, before the first evaluation and the first checkpoint."""
    return planned.total - planned.evaluation - planned.snapshot


def _step(plans: list[RunPlan]) -> list[str]:
    def seconds(which: str) -> Callable[[RunPlan], str]:
        def cell(plan: RunPlan) -> str:
            speed = getattr(plan.trial, which)
            return f"{speed.seconds:.3f} ±{speed.error / speed.seconds:.1%}"

        return cell

    def tokens(which: str) -> Callable[[RunPlan], str]:
        return lambda plan: f"{getattr(plan.trial, which).tokens:,.0f}"

    rows = [
        _header("time, measured", plans, _ROAD_STEP),
        _row("seconds a one-document step", plans, seconds("documents"), _ROAD_STEP, str),
    ]
    figures: dict[str, Callable[[RunPlan], str]] = {
        "tokens in it, mean": tokens("documents"),
        "seconds a batched step": seconds("batched"),
        "tokens in it, mean ": tokens("batched"),
        "tokens a second, batched": lambda plan: f"{_batched(plan).tokens_per_s:,.0f}",
        "seconds an evaluation": lambda plan: f"{plan.trial.evaluation:.2f}",
        "seconds of its samples": lambda plan: f"{plan.trial.samples:.2f}",
        "seconds a checkpoint": lambda plan: f"{plan.trial.checkpoint:.2f}",
        "threads, precision, instructions": lambda plan: (
            f"{plan.trial.threads}, {plan.trial.precision}, {plan.trial.instructions}"
        ),
    }
    rows += [_row(name, plans, value, _ROAD_STEP) for name, value in figures.items()]
    return aligned_rows(rows, "")


def _batched(plan: RunPlan) -> Any:
    return plan.trial.batched


def _lengths(plan: RunPlan, now: datetime.datetime) -> list[str]:
    rows = [[f"{plan.options.preset}, begun now", "steps", "passes", "takes", "finished", "disk"]]
    for schedule in plan.schedules():
        finish = now + datetime.timedelta(seconds=schedule.seconds)
        rows.append(
            [
                schedule.name, f"{schedule.steps:,}", f"{schedule.passes:.1f}",
                duration(schedule.seconds), f"{finish:%Y-%m-%d %H:%M}",
                byte_size(plan.disk_bytes(schedule.steps)),
            ]
        )  # fmt: skip
    return [*aligned_rows(rows, ""), ""]


def _closing(plans: list[RunPlan]) -> list[str]:
    keep = plans[0].options.keep
    caches = ", ".join(byte_size(plan.prepared.cache_bytes) for plan in plans)
    each = ", ".join(byte_size(plan.trial.checkpoint_bytes) for plan in plans)
    return [
        f"disk: a training checkpoint is {each}, the newest {keep} and every "
        f"{checkpoint_folder.MILESTONE}th are kept; token caches {caches}, counted",
        "times include evaluations, sampled replies and checkpoints",
    ]
