"""A run's plan: what was tried out and reckoned, and the lines that show it.

Beside the figures stands what ROAD_TO_25M, the plan that the presets come from, had
estimated for a program in float64 on one thread.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidya.model.config import ModelConfig
from vidya.model.parameters import parameter_parts
from vidya.planning import cost_estimate
from vidya.planning.trial_run import Trial
from vidya.storage.run_folder import RunFolder
from vidya.system import process_memory
from vidya.training.options import TrainOptions
from vidya.training.run_corpora import CorpusSources, prepare

ONE_DOCUMENT_STEPS = (400_000, 600_000)
"""Lengths of the run in ROAD_TO_25M."""
PASSES = (2, 3)


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
    folder: Path, options: TrainOptions, sources: CorpusSources, say: Callable[[str], None]
) -> Prepared:
    """Train the tokenizer and build the token caches in `folder`."""
    begun = time.perf_counter()
    process_memory.reset_peak()
    with RunFolder(folder) as run:
        corpora = prepare(run, options, say, tokenizer_hash=None, sources=sources)
        summary, tokens = sources.train.summary, len(corpora.train.tokens)
        return Prepared(
            time.perf_counter() - begun,
            process_memory.peak_bytes(),
            sum(path.stat().st_size for path in run.token_caches()),
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
        costs = cost_estimate.Costs(
            speed.seconds, trial.evaluation, trial.samples, trial.checkpoint
        )
        tokens = steps * speed.tokens
        seconds = cost_estimate.run_seconds(self.options, steps, costs)
        return Schedule(name, steps, tokens, tokens / trial.epoch_tokens, seconds)

    def disk_bytes(self, steps: int) -> int:
        """Most that the run folder of a run of `steps` steps takes."""
        kept = cost_estimate.disk_bytes(self.options, self.config.parameter_count(), steps)
        return kept + self.prepared.cache_bytes

    def plain(self) -> dict[str, Any]:
        """All figures as JSON values."""
        return {
            "options": self.options.plain(),
            "parameters": {
                **parameter_parts(self.config),
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
