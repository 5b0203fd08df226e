"""What preflight's checks work on, and how one says that something is not as it must be."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidya.storage.run_folder import RunFolder
from vidya.text.batch_plan import Batch
from vidya.training.options import TrainOptions
from vidya.training.run_corpora import CorpusSources, RunCorpora, prepare
from vidya.training.training_run import TrainingRun


class CheckFailed(Exception):
    """Something is not as it must be; the message says what."""


def require(condition: bool, what: str) -> None:
    """Raise `CheckFailed` with `what` unless the condition holds."""
    if not condition:
        raise CheckFailed(what)


@dataclass
class CheckedRun:
    """The run that is checked. What is costly is made once, when first asked for."""

    options: TrainOptions
    sources: CorpusSources
    folder: RunFolder
    """A temporary one."""
    previous: Path | None
    """Tokenizer to compare with."""
    say: Callable[[str], None]

    @functools.cached_property
    def corpora(self) -> RunCorpora:
        """Tokenizer and token caches, prepared as a training does."""
        return prepare(
            self.folder, self.options, self.say, tokenizer_hash=None, sources=self.sources
        )

    @functools.cached_property
    def run(self) -> TrainingRun:
        """The run itself, before its first step."""
        return TrainingRun(self.folder, self.options, self.corpora)


def loss_of_pass(run: TrainingRun, batch: Batch) -> float:
    """Loss of a forward and backward pass with the dropout of step 0."""
    return run.model.loss_and_gradients(batch, dropout_seed=run.options.seed)


def mean_loss(run: TrainingRun, batch: Batch) -> float:
    """Loss of a batch without dropout."""
    return float(run.model.losses(batch).mean(dtype=np.float64))


def take_step(run: TrainingRun) -> float:
    """Make a step at the run's peak rate, without warm-up; returns its loss."""
    step = run.progress.step
    batch = run.plan.batch(step)
    loss = run.model.loss_and_gradients(batch, dropout_seed=run.options.seed, step=step)
    run.optimizer.update(run.options.peak_lr(), run.optimizer.gradient_norm())
    run.progress.step, run.progress.tokens = step + 1, run.progress.tokens + len(batch.tokens)
    return loss
