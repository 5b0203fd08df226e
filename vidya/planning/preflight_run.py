"""What preflight's checks work on, and how one says that something is not as it must be."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vidya.storage.run_folder import RunFolder
from vidya.training.options import TrainOptions
from vidya.training.run_corpora import CorpusSources, RunCorpora, prepare
from vidya.training.training_run import TrainingRun


class CheckFailed(Exception):
    """Something is not as it must be; the message says what."""


def fail_unless(condition: bool, what: str) -> None:
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


def take_step(run: TrainingRun) -> float:
    """Make a step at the run's peak rate, without warm-up; returns its loss."""
    step = run.progress.step
    batch = run.plan.batch(step)
    loss = run.gradients(batch, step)
    run.optimizer.update(run.options.peak_lr(), run.optimizer.gradient_norm())
    run.progress.step, run.progress.tokens = step + 1, run.progress.tokens + len(batch.tokens)
    return loss
