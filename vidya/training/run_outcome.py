"""What came of a run, in words: whether it learnt, what that is worth, and what to do next."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from vidya.measuring.held_out_loss import HeldOutLoss
from vidya.model.presets import next_bigger
from vidya.terminal.formatting import duration
from vidya.training.training_run import TrainingRun

_WORSE = 1.1
"""Times the lowest loss so far from which a loss counts as much worse."""
_MEMORISED = 1.01
"""Times the lowest held-out loss from which a rise is told."""
ENOUGH_PASSES = 0.5
"""Share of the text below which a model is told to be young."""


class LossesSince:
    """The mean of the training losses since the last evaluation."""

    def __init__(self) -> None:
        self._total, self._count = 0.0, 0

    def add(self, loss: float) -> None:
        """Take in the loss of a step."""
        self._total, self._count = self._total + loss, self._count + 1

    def mean_and_begin_anew(self) -> float | None:
        """The mean; None where there was no step. What comes now is another mean."""
        mean = self._total / self._count if self._count else None
        self._total, self._count = 0.0, 0
        return mean


@dataclass(frozen=True)
class Evaluation:
    """What a run had come to after some steps."""

    step: int
    trained: float | None
    """Mean loss of the steps since the evaluation before; None: there were none."""
    held_out: HeldOutLoss | None
    """None where nothing is held out."""


def diverged(evaluations: Sequence[Evaluation], vocab_size: int) -> bool:
    """Whether the model got worse than one that takes all tokens for equally likely.

    A loss that has fallen ever since is no divergence, however high it began.
    """
    held_out = [one.held_out.loss for one in evaluations if one.held_out is not None]
    losses = held_out or [one.trained for one in evaluations if one.trained is not None]
    if len(losses) < 2:
        return False
    return losses[-1] > math.log(vocab_size) and losses[-1] > _WORSE * min(losses)


def best_before_memorising(evaluations: Sequence[Evaluation]) -> Evaluation | None:
    """The evaluation since which held-out text got worse while training went on; None: none.

    The model learns its own text by heart from there on.
    """
    some = [one for one in evaluations if one.held_out is not None and one.trained is not None]
    if len(some) < 2:
        return None
    best, last = min(some, key=_held_out_loss), some[-1]
    assert best.trained is not None and last.trained is not None
    risen = _held_out_loss(last) > _MEMORISED * _held_out_loss(best)
    return best if risen and last.trained < best.trained else None


def _held_out_loss(one: Evaluation) -> float:
    assert one.held_out is not None
    return one.held_out.loss


class RunOutcome:
    """A run that has come to its last step, and its evaluations of this session."""

    def __init__(self, run: TrainingRun, evaluations: Sequence[Evaluation]) -> None:
        self._run, self._evaluations = run, evaluations
        self.diverged = diverged(evaluations, run.model.config.vocab_size)

    def lines(self) -> list[str]:
        """What came of it, in a few lines."""
        run, progress = self._run, self._run.progress
        took = f"{progress.step:,} steps, {progress.tokens:,} tokens in {duration(progress.time_s)}"
        if self.diverged:
            return [self._what_went_wrong(took)]
        lines = [f"trained {took}"]
        last = self._evaluations[-1] if self._evaluations else None
        if last is not None and last.held_out is not None:
            lines[0] += f"; unseen text: {last.held_out.in_words()}, lower is better"
        best = best_before_memorising(self._evaluations)
        if best is not None and best.held_out is not None:
            lines.append(
                f"It began to learn its text by heart (overfitting): unseen text was best at step "
                f"{best.step:,}, {best.held_out.bits_per_byte:.4f} bits per byte. More text helps "
                f"most, else --steps {best.step} or a larger --dropout"
            )
        passes = progress.step / run.plan.steps_in_epoch(0)
        if passes < ENOUGH_PASSES:
            lines.append(
                f"It has seen {passes:.0%} of the text; after more of it a model talks better"
            )
        return [*lines, f"model: {run.folder.checkpoint(run.base)}"]

    def _what_went_wrong(self, took: str) -> str:
        run, last = self._run, self._evaluations[-1]
        loss = last.held_out.loss if last.held_out is not None else last.trained
        return (
            f"This training went wrong (it diverged): after {took} its loss is {loss:,.1f}, and "
            f"one that only guesses has {math.log(run.model.config.vocab_size):.1f}. The learning "
            f"rate of {run.options.peak_lr():g} was too high for it"
        )

    def next_steps(self) -> list[tuple[str, str]]:
        """What can be done now: labels and commands."""
        run = self._run
        out, options = shlex.quote(str(run.folder.path)), run.options
        curve = ("see its curve", f"python -m vidya.plot {out}")
        if self.diverged:
            usual = options.usual_lr()
            rate = usual if options.peak_lr() > usual else options.peak_lr() / 5
            again = f"{_train_command(run, options.preset)} --out {out} --overwrite --lr {rate:g}"
            return [("train it again", again), curve]
        more = f"python -m vidya.train --resume --out {out} --steps {2 * run.total_steps}"
        steps = [
            ("talk to it", f"python -m vidya.chat {out}"),
            ("train it further, to twice the steps", more), curve,
        ]  # fmt: skip
        if (bigger := next_bigger(options.preset)) is not None:
            steps.append(("a bigger one", _train_command(run, bigger)))
        return steps


def _train_command(run: TrainingRun, size: str) -> str:
    """The command that trains a model of a size on the text of this run."""
    options = run.options
    words = ["python", "-m", "vidya.train", "--preset", size]
    words += ["--data", *map(str, options.data)] if options.data else []
    words += ["--val", str(options.val)] if options.val else []
    return shlex.join(words)
