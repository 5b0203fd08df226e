"""A run's plan: what was tried out of it, and what follows for runs of several lengths.

`vidya.planning.plan_report` shows it.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidya.model.config import ModelConfig
from vidya.model.parameters import parameter_parts
from vidya.planning.trial_run import Trial, run_trial
from vidya.storage.run_folder import RunFolder
from vidya.system import process_memory
from vidya.system.scratch_folder import temporary_folder
from vidya.training import disk_plan
from vidya.training.options import EVALUATIONS, TrainOptions
from vidya.training.run_corpora import CorpusSources, prepare, survey
from vidya.training.run_length import StepSpeed

ONE_DOCUMENT_STEPS = (400_000, 600_000)
"""Lengths of the run in ROAD_TO_25M, the plan that the presets come from."""
EPOCHS = (2, 3)


def run_seconds(
    options: TrainOptions, total: int, *,
    step: float, evaluation: float, samples: float, checkpoint: float,
) -> float:  # fmt: skip
    """Seconds of a run of `total` steps, from those of its parts.

    Args:
        options: say how often the run is evaluated and saved.
        total: its steps.
        step: seconds of one.
        evaluation: of a held-out loss.
        samples: of the sampled replies of an evaluation; that of step 0 has none.
        checkpoint: of a training checkpoint.
    """
    evaluations = -(-total // options.eval_steps(total))
    checkpoints = -(-total // options.checkpoint_steps(total))
    return (
        total * step
        + (evaluations + 1) * evaluation
        + evaluations * samples
        + checkpoints * checkpoint
    )


@dataclass(frozen=True)
class PreparedCorpora:
    """What preparing the corpora took."""

    seconds: float
    peak_bytes: int
    cache_bytes: int
    vocab_size: int
    documents: int
    characters_per_token: float


@dataclass(frozen=True)
class RunSchedule:
    """A length of the run, and when it would be over."""

    name: str
    steps: int
    tokens: float
    passes: float
    seconds: float
    of_the_road: bool = False
    """Whether it is one that ROAD_TO_25M names."""


@dataclass(frozen=True)
class RunPlan:
    """Everything about one run."""

    options: TrainOptions
    prepared: PreparedCorpora
    trial: Trial

    @property
    def config(self) -> ModelConfig:
        """The architecture."""
        return ModelConfig(**self.trial.config)

    @property
    def batched(self) -> StepSpeed:
        """Speed of the run's own steps."""
        assert self.trial.batched is not None
        return self.trial.batched

    @property
    def alone(self) -> StepSpeed:
        """Speed of one-document steps."""
        assert self.trial.documents is not None
        return self.trial.documents

    def schedules(self) -> list[RunSchedule]:
        """The lengths that were planned, and the same in the run's own batches."""
        batched, alone = self.batched, self.alone
        own = (
            f"steps of {self.options.docs_per_step} documents"
            if self.options.docs_per_step
            else f"batches of up to {self.options.tokens_per_step:,} tokens"
        )
        rows = []
        for steps in ONE_DOCUMENT_STEPS:
            same = round(steps * alone.tokens / batched.tokens)
            of_the_road = [
                self._schedule(f"{steps:,} steps of one document", steps, alone),
                self._schedule(f"the same tokens in {own}", same, batched),
            ]
            rows += [dataclasses.replace(one, of_the_road=True) for one in of_the_road]
        for epochs in EPOCHS:
            steps = round(epochs * self.trial.epoch_tokens / batched.tokens)
            rows.append(self._schedule(f"{epochs} passes in {own}", steps, batched))
        if self.options.steps is not None:
            name = f"--steps {self.options.steps} in {own}"
            rows.append(self._schedule(name, self.options.steps, batched))
        return rows

    def own_length(self) -> RunSchedule:
        """The length that the run has by its own options: --steps, or what --minutes fit.

        At most --passes, and one step at least, as where a training chooses it.
        """
        options, trial, batched = self.options, self.trial, self.batched
        steps = options.steps
        if steps is None:
            between = EVALUATIONS * (trial.evaluation + trial.samples + trial.checkpoint)
            fitting = (options.minutes * 60 - trial.evaluation - between) / batched.seconds
            most = math.ceil(options.passes * trial.epoch_tokens / batched.tokens)
            steps = max(1, min(most, int(fitting)))
        return self._schedule("as planned", steps, batched)

    def _schedule(self, name: str, steps: int, speed: StepSpeed) -> RunSchedule:
        trial, tokens = self.trial, steps * speed.tokens
        seconds = run_seconds(
            self.options, steps, step=speed.seconds, evaluation=trial.evaluation,
            samples=trial.samples, checkpoint=trial.checkpoint,
        )  # fmt: skip
        return RunSchedule(name, steps, tokens, tokens / trial.epoch_tokens, seconds)

    def disk_bytes(self, steps: int) -> int:
        """Most that the run folder of a run of `steps` steps takes."""
        every, count = self.options.checkpoint_steps(steps), self.config.parameter_count()
        kept = disk_plan.run_bytes(count, steps, every, self.options.keep)
        return kept + self.prepared.cache_bytes

    def plain(self) -> dict[str, Any]:
        """All figures as JSON values."""
        return {
            "options": self.options.plain(),
            "parameters": parameter_parts(self.config) | {"total": self.config.parameter_count()},
            "prepared": dataclasses.asdict(self.prepared),
            "trial": dataclasses.asdict(self.trial),
            "memory_estimated": self.trial.memory.planned.total,
            "schedules": [
                dataclasses.asdict(schedule) | {"disk_bytes": self.disk_bytes(schedule.steps)}
                for schedule in self.schedules()
            ],
        }


def plan_runs(
    runs: list[TrainOptions], seconds: float, say: Callable[[str], None]
) -> list[RunPlan]:
    """Plan runs on the same corpus, each in a temporary folder that is deleted again.

    Args:
        runs: their options.
        seconds: how long the speed of steps is measured, twice for each.
        say: takes lines that tell the user what is going on.
    """
    sources = survey(runs[0])
    plans: list[RunPlan] = []
    for options in runs:
        name = options.preset
        with temporary_folder(options.folder(), "plan") as folder:
            say(f"{name}: working in {folder}, which is deleted at the end")
            prepared = _prepared(folder / "run", options, sources, say)
            say(f"{name}: timing steps in a process of its own, about {2 * seconds:.0f} s")
            plans.append(RunPlan(options, prepared, run_trial(options, folder / "run", seconds)))
    return plans


def _prepared(
    folder: Path, options: TrainOptions, sources: CorpusSources, say: Callable[[str], None]
) -> PreparedCorpora:
    """Train the tokenizer and build the token caches in `folder`."""
    begun = time.perf_counter()
    process_memory.reset_peak()
    with RunFolder(folder) as run:
        corpora = prepare(run, options, say, tokenizer_hash=None, sources=sources)
        summary, tokens = sources.train.summary, len(corpora.train.tokens)
        return PreparedCorpora(
            time.perf_counter() - begun,
            process_memory.peak_bytes(),
            sum(path.stat().st_size for path in run.token_caches()),
            corpora.tokenizer.vocab_size,
            summary.documents,
            summary.characters / max(1, tokens - 2 * summary.documents),
        )
