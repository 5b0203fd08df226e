"""A run of reinforcement learning: steps, evaluations, what is saved and when.

The weights are saved after each evaluation, so a process that is killed loses the steps
since the last one at most; at the end, an interruption or an error they are saved too. Only
weights that were finite, and that had not forgotten too much when this was last
measured, are saved.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from vidya import kernels
from vidya.errors import UserError
from vidya.measuring.held_out_loss import HeldOutLoss, held_out_loss
from vidya.posttraining.reinforcement.grpo import Attempt, GroupLearner, GroupUpdate, Settings
from vidya.posttraining.reinforcement.judge import Judge
from vidya.posttraining.reinforcement.options import RlOptions
from vidya.posttraining.reinforcement.prompts import Turns
from vidya.posttraining.trained_run import TrainedRun
from vidya.storage.metrics_log import MetricsWriter
from vidya.terminal.progress_display import ProgressDisplay

RECENT = 10
"""Steps over which what is shown is averaged."""
End = Literal["done", "interrupted", "forgot"]


@dataclass(frozen=True)
class ReplyMeans:
    """What was measured of the replies of a step."""

    reward: float
    tokens: float
    divergence: float
    """KL from the base model, nats per token."""


@dataclass
class RlOutcome:
    """What a run has come to."""

    end: End
    step: int
    """Of the weights that were saved."""
    first: ReplyMeans | None
    """Of the first steps, if there was one."""
    last: ReplyMeans | None
    """Of the last ones."""
    held_out: list[HeldOutLoss]
    """Before the first step and at the evaluations since, those taken back left out."""


class RlRun:
    """A student that learns from a judge."""

    def __init__(
        self, student: TrainedRun, judge: Judge, prompts: Iterator[Turns], options: RlOptions
    ) -> None:
        """Nothing is written yet.

        Raises:
            UserError: the replies are too long for the model.
        """
        settings = Settings(
            **{f.name: getattr(options, f.name) for f in dataclasses.fields(Settings)}
        )
        self._learner = GroupLearner(
            student.model, student.tokenizer, settings, replies=options.replies
        )
        self._student, self._judge, self._prompts = student, judge, prompts
        self._options = options
        self._step = 0
        self._saved = 0
        self._good = student.model.flat.copy()
        """Weights of `_good_step`, the last evaluation."""
        self._good_step = 0
        self._held_out: list[HeldOutLoss] = []
        self._means: list[ReplyMeans] = []
        self._began = time.monotonic()

    def run(
        self, log: MetricsWriter, display: ProgressDisplay, interrupted: Callable[[], bool]
    ) -> RlOutcome:
        """All steps, or as many as there are before an interruption.

        Raises:
            UserError: the reward failed, a gradient is not finite, or the disk is full.
                What had been learnt by then is saved, and the error says so.
        """
        log.write(self._description())
        end: End = "done"
        try:
            self._evaluate(log, display, interrupted)
            while self._step < self._options.steps and end == "done":
                if interrupted():
                    end = "interrupted"
                    break
                self._means.append(self._one_step(log, display))
                if self._step % self._options.eval_every == 0 or self._step == self._options.steps:
                    end = self._look(log, display, interrupted)
            self._save()
        except UserError as error:
            raise UserError(f"{error}{self._rescue()}") from error
        few = max(1, min(RECENT, self._step // 2))
        done = self._means[: self._step]  # those taken back left out
        return RlOutcome(end, self._saved, _mean(done[:few]), _mean(done[-few:]), self._held_out)

    # ---- a step ------------------------------------------------------------------

    def _one_step(self, log: MetricsWriter, display: ProgressDisplay) -> ReplyMeans:
        begun = time.monotonic()
        turns = [next(self._prompts) for _ in range(self._options.prompts_per_step)]
        attempts = self._learner.draw(turns, self._step)
        rewards = [
            self._judge(one.turns, one.text, tokens=one.tokens, ended=one.ended) for one in attempts
        ]
        lesson = self._learner.learn(attempts, rewards)
        if lesson is None:
            raise UserError(
                f"the gradients of step {self._step + 1} are not finite: lower --lr, or give "
                "--kl more weight"
            )
        self._step += 1
        means = ReplyMeans(
            float(np.mean(rewards)), float(np.mean([one.tokens for one in attempts])),
            lesson.divergence,
        )  # fmt: skip
        seconds = time.monotonic() - begun
        log.write(self._line(attempts, rewards, lesson, means, seconds))
        shown = _mean([*self._means[1 - RECENT :], means]) or means
        parts = [
            f"reward {shown.reward:.3f}", f"{shown.tokens:.1f} tokens",
            f"KL {shown.divergence:.4f}",
        ]  # fmt: skip
        display.show(self._step, parts, seconds)
        return means

    def _line(
        self, attempts: list[Attempt], rewards: list[float], lesson: GroupUpdate, means: ReplyMeans,
        seconds: float,
    ) -> dict[str, Any]:  # fmt: skip
        lengths = [one.tokens for one in attempts]
        return {
            "step": self._step,
            "reward": means.reward,
            "reward_std": float(np.std(rewards)),
            "reply_tokens": means.tokens,
            "reply_tokens_std": float(np.std(lengths)),
            "ended": float(np.mean([one.ended for one in attempts])),
            "kl": lesson.divergence,
            "clipped": lesson.clipped,
            "grad_norm": lesson.gradient_norm,
            "seconds": seconds,
            "time_s": time.monotonic() - self._began,
        }

    # ---- evaluations and saving ----------------------------------------------------

    def _look(
        self, log: MetricsWriter, display: ProgressDisplay, interrupted: Callable[[], bool]
    ) -> End:
        """Evaluate and save, or take back what forgot too much."""
        if not self._evaluate(log, display, interrupted):
            return "interrupted"
        if self._forgotten() > self._options.most_forgetting:
            display.say(
                f"step {self._step}: the held-out loss has risen by {self._forgotten():.1%}, more "
                f"than --most-forgetting allows: back to the weights of step {self._good_step}"
            )
            self._held_out.pop()
            self._take_back()
            return "forgot"
        self._good[...] = self._student.model.flat
        self._good_step = self._step
        self._save()
        return "done"

    def _evaluate(
        self, log: MetricsWriter, display: ProgressDisplay, interrupted: Callable[[], bool]
    ) -> bool:
        """Measure the loss on held-out text where there is some; False if interrupted."""
        student = self._student
        if student.corpus is None or student.corpus.held_out is None:
            return True
        found = held_out_loss(
            student.model, student.tokenizer, student.corpus.held_out,
            max_tokens=self._options.eval_tokens, interrupted=interrupted,
        )  # fmt: skip
        if found is None:
            return False
        if not np.isfinite(found.loss):
            raise UserError(f"the held-out loss of step {self._step} is not finite: lower --lr")
        self._held_out.append(found)
        display.held_out(self._step, found.loss, found.bits_per_byte)
        log.write({
            "step": self._step, "val_loss": found.loss, "val_bpb": found.bits_per_byte,
            "time_s": time.monotonic() - self._began,
        })  # fmt: skip
        return True

    def _forgotten(self) -> float:
        """By what share the held-out loss has risen."""
        if not self._held_out:
            return 0.0
        return self._held_out[-1].loss / self._held_out[0].loss - 1

    def _take_back(self) -> None:
        self._student.model.flat[...] = self._good
        self._step = self._good_step

    def _save(self) -> None:
        if self._step == self._saved:
            return
        options = dataclasses.asdict(self._options)
        self._student.save("rl", {
            "rl": {
                "reward": self._options.reward, "settings": list(self._options.settings),
                "steps": self._step,
                "options": {name: value for name, value in options.items()
                            if isinstance(value, (int, float, str))},
            },
        })  # fmt: skip
        self._saved = self._step

    def _rescue(self) -> str:
        """Save what was learnt before an error; what to say of it."""
        if not np.isfinite(self._student.model.flat).all():
            self._take_back()
        try:
            self._save()
        except UserError:
            return ""
        name = self._student.path.name
        return f" (the weights of step {self._saved} are in {name})" if self._saved else ""

    def _description(self) -> dict[str, Any]:
        options = dataclasses.asdict(self._options)
        return {
            "kind": "rl",
            "reward": self._options.reward,
            "settings": list(self._options.settings),
            "options": {key: value for key, value in options.items() if key != "settings"},
            "origin": dict(self._student.origin),
            "threads": kernels.get_num_threads(),
        }


def _mean(some: list[ReplyMeans]) -> ReplyMeans | None:
    if not some:
        return None
    table = np.array([dataclasses.astuple(means) for means in some])
    return ReplyMeans(*table.mean(axis=0).tolist())
