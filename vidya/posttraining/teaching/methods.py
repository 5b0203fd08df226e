"""The three ways to learn from a lesson, as objectives of its answers' rows of logits.

- `sft`: cross-entropy of the right answer.
- `dpo`: the right answer against each of the others, relative to the base model.
- `reinforce`: policy gradient over all answers, the choice being the reward (1 for the
  right one, 0 for the others) and 1 / n the baseline, which is what n answers get on average
  if one of them is right; with a price on the divergence from the base model. Later steps of
  a lesson are clipped as in PPO.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidya.model import objectives
from vidya.model.transformer import Array, Model, Objective
from vidya.posttraining.answer_batches import answer_batch, reply_starts
from vidya.posttraining.teaching.lesson import AnySettings, Lesson
from vidya.posttraining.teaching.options import MethodName
from vidya.posttraining.token_objectives import ClippedPolicy, mean_cross_entropy
from vidya.text.batch_plan import Batch
from vidya.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class LessonAnswers:
    """The answers of a lesson, ready to be learnt from."""

    batch: Batch
    targets: Array
    """[R] the ids that count."""
    starts: Array
    """[answers + 1] where each answer's begin."""
    reference: Array
    """[R, V] log-probabilities that the base model gives."""
    right: bool
    """Whether the first is the right one."""
    method: MethodName
    """How to learn from them."""

    def sums(self, logprobs: Array) -> Array:
        """Log-probability of each answer, [answers], from the model's [R, V]."""
        ours = objectives.token_logprobs(logprobs, self.targets)
        return np.add.reduceat(ours, self.starts[:-1])

    def loss(self, logprobs: Array) -> float | None:
        """Mean loss of the right answer's tokens, from the model's [R, V]; None: there is none."""
        if not self.right:
            return None
        ours = objectives.token_logprobs(logprobs, self.targets)
        return -float(ours[: int(self.starts[1])].mean())


def lesson_answers(
    lesson: Lesson, tokenizer: Tokenizer, reference: Model, room: int, context: int
) -> LessonAnswers | None:
    """What the method of a lesson learns from; None: nothing.

    Args:
        lesson: with candidates, a choice and a method.
        tokenizer: the model's.
        reference: the base model.
        room: tokens that all answers may have together; long prompts lose their beginning.
        context: tokens that one may have.
    """
    answers, right = lesson.answers(tokenizer, context)
    method = lesson.settings.method
    if method != "reinforce" and not right:
        return None
    if right and len(answers) < 2:  # nothing to prefer it to
        method = "sft"
    if method == "sft":
        answers = answers[:1]
    batch = answer_batch(answers, min(context, room // len(answers)))
    return LessonAnswers(
        batch, batch.targets[batch.targets >= 0], reply_starts(batch),
        objectives.log_softmax(reference.logits(batch)), right, method,
    )  # fmt: skip


def lesson_objective(answers: LessonAnswers, settings: AnySettings, before: Array) -> Objective:
    """What all steps of a lesson minimise.

    Args:
        answers: of the lesson, with the method to learn from them.
        settings: of the lesson; its method is not looked at.
        before: [R, V] log-probabilities that the model gives before the lesson.
    """
    if answers.method == "sft":
        return mean_cross_entropy(answers.batch)  # which holds nothing but the right answer
    if answers.method == "dpo":
        return _dpo(answers, settings)
    return _reinforce(answers, settings, before)


def _dpo(answers: LessonAnswers, settings: AnySettings) -> Objective:
    reference = answers.sums(answers.reference)
    lengths = np.diff(answers.starts)

    def objective(first: int, logits: Array) -> tuple[float, Array]:
        logprobs = objectives.log_softmax(logits)
        loss, pull = objectives.dpo(answers.sums(logprobs), reference, settings.beta)
        weights = np.repeat(-pull, lengths).astype(logits.dtype)
        return loss, objectives.weighted_logprob(logprobs, answers.targets, weights)[1]

    return objective


def _reinforce(answers: LessonAnswers, settings: AnySettings, before: Array) -> Objective:
    count, tokens = len(answers.starts) - 1, len(answers.targets)
    rewards = np.zeros(count)
    rewards[0] = answers.right
    summed = ClippedPolicy(
        answers.targets,
        objectives.token_logprobs(before, answers.targets),
        np.repeat(rewards - 1 / count, np.diff(answers.starts)).astype(before.dtype),
        answers.reference, kl=settings.kl, clip=settings.clip,
    )  # fmt: skip

    def objective(first: int, logits: Array) -> tuple[float, Array]:
        value, gradient = summed(first, logits)
        return value / tokens, gradient / tokens

    return objective
