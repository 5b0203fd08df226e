"""A run's plan: what was tried out and reckoned, and the lines that show it.

Beside the figures stands what ROAD_TO_25M, the plan that the presets come from, had
estimated for a program in float64 on one thread.
"""

from __future__ import annotations

import dataclasses
import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidya import estimate, memory, retention
from vidya.config import ModelConfig
from vidya.corpora import Sources, prepare
from vidya.options import TrainOptions
from vidya.progress import duration, size
from vidya.run_folder import RunFolder
from vidya.trial import Trial
from vidya.workshop import table

ONE_DOCUMENT_STEPS = (400_000, 600_000)
"""Lengths of the run in ROAD_TO_25M."""
PASSES = (2, 3)

_ROAD_PARAMETERS = {"10m": "~10 M", "25m": "~25 M"}
_ROAD_MEMORY = {
    "25m": {
        "weights": "200", "gradients": "200", "Adam's moments": "400",
        "activations": "500-1,000", "total": "1,500-2,000",
    }
}  # fmt: skip
_ROAD_STEP = {"10m": "0.8 s", "25m": "3-5 s"}


@dataclass(frozen=True)
class Prepared:
    """What preparing the corpora took."""

    seconds: float
    peak_bytes: int
    cache_bytes: int
    vocab_size: int
    documents: int
    characters_per_token: float


def prepared(
    folder: Path, options: TrainOptions, sources: Sources, say: Callable[[str], None]
) -> Prepared:
    """Train the tokenizer and build the token caches in `folder`."""
    begun = time.perf_counter()
    memory.reset_peak()
    with RunFolder(folder) as run:
        corpora = prepare(run, options, say, tokenizer_hash=None, sources=sources)
        summary, tokens = sources.train.summary, len(corpora.train.tokens)
        return Prepared(
            time.perf_counter() - begun,
            memory.peak_bytes(),
            sum(path.stat().st_size for path in folder.glob("*.tokens")),
            corpora.tokenizer.vocab_size,
            summary.documents,
            summary.characters / max(1, tokens - 2 * summary.documents),
        )


@dataclass(frozen=True)
class Schedule:
    """A length of the run, and when it would be over."""

    name: str
    steps: int
    tokens: float
    passes: float
    seconds: float


@dataclass(frozen=True)
class RunPlan:
    """Everything about one run."""

    options: TrainOptions
    prepared: Prepared
    trial: Trial

    @property
    def config(self) -> ModelConfig:
        """The architecture."""
        return ModelConfig(**self.trial.config)

    def schedules(self) -> list[Schedule]:
        """The lengths that were planned, and the same in the run's own batches."""
        batched, alone = self.trial.batched, self.trial.documents
        assert batched is not None and alone is not None
        tokens, own = self.trial.epoch_tokens, self._batches
        rows = []
        for steps in ONE_DOCUMENT_STEPS:
            rows.append(self._schedule(f"{steps:,} one-document steps", steps, alone))
            same = round(steps * alone.tokens / batched.tokens)
            rows.append(self._schedule(f"  the same tokens in {own}", same, batched))
        for passes in PASSES:
            steps = round(passes * tokens / batched.tokens)
            rows.append(self._schedule(f"{passes} passes in {own}", steps, batched))
        if self.options.steps is not None:
            name = f"--steps {self.options.steps} in {own}"
            rows.append(self._schedule(name, self.options.steps, batched))
        return rows

    @property
    def _batches(self) -> str:
        if self.options.docs_per_step:
            return f"steps of {self.options.docs_per_step} documents"
        return f"batches of up to {self.options.tokens_per_step} tokens"

    def _schedule(self, name: str, steps: int, speed: Any) -> Schedule:
        trial = self.trial
        costs = estimate.Costs(speed.seconds, trial.evaluation, trial.samples, trial.checkpoint)
        tokens = steps * speed.tokens
        seconds = estimate.run_seconds(self.options, steps, costs)
        return Schedule(name, steps, tokens, tokens / trial.epoch_tokens, seconds)

    def disk_bytes(self, steps: int) -> int:
        """Most that the run folder of a run of `steps` steps takes."""
        kept = estimate.disk_bytes(self.options, self.config.parameter_count(), steps)
        return kept + self.prepared.cache_bytes

    def plain(self) -> dict[str, Any]:
        """All figures as JSON values."""
        return {
            "options": self.options.plain(),
            "parameters": {
                **estimate.parameter_parts(self.config),
                "total": self.config.parameter_count(),
            },
            "prepared": dataclasses.asdict(self.prepared),
            "trial": dataclasses.asdict(self.trial),
            "memory_estimated": self.trial.memory.planned.total,
            "schedules": [
                dataclasses.asdict(schedule) | {"disk_bytes": self.disk_bytes(schedule.steps)}
                for schedule in self.schedules()
            ],
        }


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
    for part in estimate.parameter_parts(plans[0].config):
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
    return table(rows, "")


def _parts(plan: RunPlan) -> dict[str, int]:
    return estimate.parameter_parts(plan.config)


def _corpus(plans: list[RunPlan]) -> list[str]:
    figures: dict[str, Callable[[RunPlan], str]] = {
        "documents": lambda plan: f"{plan.prepared.documents:,}",
        "tokens to predict in a pass": lambda plan: f"{plan.trial.epoch_tokens:,}",
        "characters per token": lambda plan: f"{plan.prepared.characters_per_token:.2f}",
        "one-document steps in a pass": lambda plan: f"{plan.trial.epoch_documents:,}",
        "preparing it: time": lambda plan: duration(plan.prepared.seconds),
        "preparing it: most memory": lambda plan: size(plan.prepared.peak_bytes),
    }
    return table([_header("corpus", plans, {}), *_rows(plans, figures)], "")


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
    return table(rows, "")


def _step_alone(planned: memory.MemoryPlan) -> int:
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
    return table(rows, "")


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
                size(plan.disk_bytes(schedule.steps)),
            ]
        )  # fmt: skip
    return [*table(rows, ""), ""]


def _closing(plans: list[RunPlan]) -> list[str]:
    keep = plans[0].options.keep
    caches = ", ".join(size(plan.prepared.cache_bytes) for plan in plans)
    each = ", ".join(size(plan.trial.checkpoint_bytes) for plan in plans)
    return [
        f"disk: a training checkpoint is {each}, the newest {keep} and every "
        f"{retention.MILESTONE}th are kept; token caches {caches}, counted",
        "times include evaluations, sampled replies and checkpoints",
    ]
