"""A run of reinforcement learning: steps, evaluations, what is saved and when.

The weights are also saved after each evaluation: a process that is killed loses the steps
since the last one at most. Weights that are not finite, or were found to have forgotten too
much, are never saved.
"""

from __future__ import annotations

import dataclasses
import shlex
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from vidya import kernels
from vidya.errors import UserError
from vidya.measuring.held_out_loss import HeldOutLoss
from vidya.posttraining.evaluated_loop import EvaluatedLoop
from vidya.posttraining.reinforcement.grpo import GroupLearner
from vidya.posttraining.reinforcement.judge import Judge, settings_of
from vidya.posttraining.reinforcement.options import REPLY_TOKENS, RlOptions
from vidya.posttraining.reinforcement.prompts import (
    Turns,
    first_messages,
    in_random_order,
    read_prompts,
)
from vidya.posttraining.trained_run import TrainedRun, open_trained_run
from vidya.terminal.streams import say, show, show_next
from vidya.training import thread_choice

RECENT = 10
"""Steps over which what is shown is averaged."""


class ReplyMeans(NamedTuple):
    """Means over the replies of a step, or of several."""

    reward: float
    tokens: float
    """Length of the replies."""
    divergence: float
    """KL from the base model, nats per token."""


class RlLoop(EvaluatedLoop):
    """A trained model that learns from a judge.

    Attributes:
        options: of the run.
        held_out: the losses on held-out text before the first step and at the evaluations
            since, those taken back left out.
    """

    remedy = "give a lower --lr, or more --kl"

    def __init__(
        self, trained_run: TrainedRun, judge: Judge, prompts: Iterator[Turns], options: RlOptions
    ) -> None:
        """Nothing is written yet.

        Raises:
            UserError: the replies are too long for the model.
        """
        super().__init__(
            trained_run, trained_run.corpus, total=options.steps, eval_every=options.eval_every,
            eval_tokens=options.eval_tokens,
        )  # fmt: skip
        self._learner = GroupLearner(trained_run.model, trained_run.tokenizer, options)
        self._judge, self._prompts, self.options = judge, prompts, options
        self.held_out: list[HeldOutLoss] = []
        self._means: list[ReplyMeans] = []
        self._cut_short = False
        self.good_weights.keep(0)

    @property
    def interrupted(self) -> bool:
        """Whether a signal came before the last step, or before its evaluation, was done."""
        return self._cut_short or super().interrupted

    def description(self) -> dict[str, object]:
        """The first line of the log."""
        return {
            "kind": "rl",
            "reward": self.options.reward,
            "settings": list(self.options.settings),
            "options": self.options.plain(),
            "origin": dict(self.trained_run.origin),
            "threads": kernels.get_num_threads(),
        }

    def take_step(self) -> None:
        """Draw replies, judge them and learn from that."""
        begun = time.monotonic()
        turns = [next(self._prompts) for _ in range(self.options.prompts_per_step)]
        attempts = self._learner.draw(turns, self.step)
        rewards = [
            self._judge(one.turns, one.text, tokens=one.tokens, ended=one.ended) for one in attempts
        ]
        update = self._learner.learn(attempts, rewards)
        self.step += 1
        lengths = [one.tokens for one in attempts]
        means = ReplyMeans(float(np.mean(rewards)), float(np.mean(lengths)), update.divergence)
        self._means.append(means)
        seconds = time.monotonic() - begun
        self.log.write({
            "step": self.step,
            "reward": means.reward,
            "reward_std": float(np.std(rewards)),
            "reply_tokens": means.tokens,
            "reply_tokens_std": float(np.std(lengths)),
            "ended": float(np.mean([one.ended for one in attempts])),
            "kl": update.divergence,
            "clipped": update.clipped,
            "grad_norm": update.gradient_norm,
            "seconds": seconds,
            "time_s": self.time_s,
        })  # fmt: skip
        shown = _mean(self._means[-RECENT:])
        parts = [
            f"reward {shown.reward:.3f}", f"{shown.tokens:.1f} tokens",
            f"moved by {shown.divergence:.4f} (KL)",
        ]  # fmt: skip
        self.display.show(self.step, parts, seconds)

    def evaluate(self) -> None:
        """Measure what is forgotten; keep and save the weights, or take back what forgot."""
        found = self.measure_corpus()
        self._cut_short = found is None and self.held_out_text is not None
        if self._cut_short:
            return
        if found is not None:
            if not np.isfinite(found.loss):
                raise UserError(f"the held-out loss of step {self.step} is not finite: lower --lr")
            self.held_out.append(found)
            self.display.held_out(self.step, found.bits_per_byte, found.in_words())
            self.log.write({
                "step": self.step, "val_loss": found.loss, "val_bpb": found.bits_per_byte,
                "time_s": self.time_s,
            })  # fmt: skip
        forgotten = self.held_out[-1].loss / self.held_out[0].loss - 1 if self.held_out else 0.0
        if forgotten > self.options.most_forgetting:
            self.display.say(
                f"step {self.step}: the held-out loss has risen by {forgotten:.1%}, more than "
                f"--most-forgetting allows: back to the weights of step {self.good_weights.step}"
            )
            self.held_out.pop()
            self.step = self.good_weights.take_back()
            self.stopped_early = True
            return
        self.good_weights.keep(self.step)
        self.finish()

    def finish(self) -> None:
        """Save the weights, if they are others than those that are saved."""
        if self.step == (self.saved_step or 0):
            return
        options = self.options
        self.trained_run.save("rl", {
            "rl": {
                "reward": options.reward, "settings": list(options.settings), "steps": self.step,
                "options": {name: value for name, value in options.plain().items()
                            if isinstance(value, (int, float, str))},
            },
        })  # fmt: skip
        self.saved_step = self.step

    def save_before_error(self) -> None:
        """Save the weights as they are, or those of the last evaluation if they are spoilt."""
        if not np.isfinite(self.trained_run.model.flat).all():
            self.step = self.good_weights.take_back()
        self.finish()

    def report(self) -> None:
        """Say what came out and where it is."""
        lines, step, path = [], self.saved_step or 0, self.trained_run.path
        if means := self._means[: self.step]:  # those taken back left out
            few = max(1, min(RECENT, self.step // 2))
            first, last = _mean(means[:few]), _mean(means[-few:])
            lines.append(
                f"replies: reward {first.reward:.3f} -> {last.reward:.3f} (higher is better), "
                f"{first.tokens:.1f} -> {last.tokens:.1f} tokens long; they differ from the "
                f"model before by {last.divergence:.4f} nats per token (KL)"
            )
        if len(self.held_out) > 1:
            before, after = self.held_out[0], self.held_out[-1]
            lines.append(
                f"unseen text: {before.bits_per_byte:.4f} -> {after.bits_per_byte:.4f} bits per "
                f"byte ({after.loss / before.loss - 1:+.1%}; a rise is what it forgot), "
                f"{after.tokens:,} tokens"
            )
        if step:
            lines.append(f"model: {path}, after step {step:,}")
        if self.interrupted:
            saved = f"saved as {path}" if step else "nothing was learnt, nothing saved"
            say(f"stopped after step {step:,} of {self.total:,}: {saved}")
        elif not step:
            lines.append("nothing was saved: the first steps forgot too much: lower --lr")
        if lines:
            show("\n".join(lines))
        folder = shlex.quote(str(path.parent))
        if step:
            show_next([
                ("talk to it", f"python -m vidya.chat {folder}"),
                ("see its course", f"python -m vidya.plot {folder} --what rl"),
            ])  # fmt: skip


def _mean(some: Sequence[ReplyMeans]) -> ReplyMeans:
    return ReplyMeans(*np.mean(some, axis=0).tolist())


def reinforce(options: RlOptions) -> int:
    """Let the reward that the (checked) options name teach the model; the exit status.

    Raises:
        UserError: as `open_trained_run` and `RlLoop.run`; there is no such reward, or there
            are no prompts.
    """
    judge = Judge(options.reward, settings_of(options.settings))
    given = None if options.prompts is None else read_prompts(options.prompts)
    thread_choice.use(options.threads)
    # a pass takes as many tokens as the model's buffers are ever made for
    with open_trained_run(options.model, max_tokens=1 << 30, out=options.out) as trained_run:
        folder, corpus = trained_run.source.parent, trained_run.corpus
        if given is not None:
            prompts = in_random_order(given, options.seed)
        elif corpus is not None:
            prompts = first_messages(corpus.train, trained_run.tokenizer, options.seed)
        else:
            raise UserError(
                f"{folder} has no train.tokens to take prompts from: give --prompts FILE"
            )
        context = trained_run.model.config.context
        longest = options.reply_tokens(context)
        if options.max_tokens is None and longest < REPLY_TOKENS:
            say(f"replies are cut off after {longest} tokens: half of what the model looks back on")
        options = dataclasses.replace(options, max_tokens=longest)
        loop = RlLoop(trained_run, judge, prompts, options)
        say(
            f"{trained_run.origin['name']} learns from "
            f"{' '.join([options.reward, *options.settings])}: {options.steps:,} steps of "
            f"{options.prompts_per_step} prompts, {options.group} replies to each"
        )
        trained_run.tell_what_is_set_aside(say)
        if corpus is None or corpus.held_out is None:
            say(f"{folder} holds no held-out text: what is forgotten is not measured")
        return loop.run(trained_run.folder.rl_metrics)
