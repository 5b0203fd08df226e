"""Learning from lessons: a model, its optimizer, and the model that it began as.

A lesson is some gradient steps of Adam on its answers by one of three methods. Each step also
sees the right answers of some earlier lessons again, and a window of the base corpus, where
the model is held to what the base model says (or learns the text again). A step minimises

    (OWN * own + n * rehearsed) / (OWN + n) + anchor * window

with n earlier answers: an answer is one of many that must be known together. Were a new one
given the weight of all others, each lesson would undo some of those before
(docs/TEACHING.md has the figures). What comes out is a function of the state before, the
lesson and the lessons before it, so a journal of lessons can be learnt again.

- `sft`: cross-entropy of the right answer.
- `dpo`: the right answer against each of the others, relative to the base model.
- `reinforce`: policy gradient over all answers, the choice being the reward (1 for the
  right one, 0 for the others) and 1 / n the baseline, which is what n answers get on average
  if one of them is right; with a price on the divergence from the base model. Later steps of
  a lesson are clipped as in PPO.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidya.errors import UserError
from vidya.model import objectives
from vidya.model.adam import Adam
from vidya.model.transformer import Model, Objective
from vidya.posttraining.answer_batches import answer_batch, reply_starts
from vidya.posttraining.replay_corpus import ReplayCorpus
from vidya.posttraining.teaching.lesson import Lesson
from vidya.posttraining.teaching.settings import LessonSettings, MethodName
from vidya.posttraining.weighted_objectives import (
    WeightedObjective,
    gradients_of,
    held_to,
    mean_cross_entropy,
)
from vidya.text.batch_plan import Batch, BatchPlan
from vidya.text.tokenizer import Tokenizer

Array = NDArray[Any]
OWN = 0.5
"""What the answer of a lesson counts beside a rehearsed one: it is in every step."""
BETA2 = 0.99
"""Adam's decay of the second moment: lessons are few, and each is something else."""
REPLAY_SEED = 0
"""Of the order in which the base corpus comes back."""


@dataclass(frozen=True)
class Outcome:
    """What a lesson changed."""

    before: float | None
    """Loss of the right answer before it, nats a token; None if there was no right one."""
    after: float | None
    """The same after it."""
    replay: float | None
    """Loss of the base corpus's windows as they were seen, nats a token; None without."""
    drift: float
    """KL divergence from the base model after it, nats a token, over the vocabulary: at the
    tokens of the answers."""
    seconds: float
    """Time that it took."""
    learnt: bool
    """Whether the weights changed: sft and dpo learn nothing from a bare rejection."""

    def line(self) -> str:
        """What to tell the teacher."""
        if not self.learnt:
            return "noted, but nothing to learn from: sft and dpo need a right answer"
        parts = []
        if self.before is not None and self.after is not None:
            parts.append(f"answer {self.before:.2f} → {self.after:.2f} nats a token")
        if self.replay is not None:
            parts.append(f"replay {self.replay:.2f}")
        parts += [f"drift from the base model {self.drift:.3f}", f"{self.seconds:.1f} s"]
        return "learnt: " + ", ".join(parts)


@dataclass(frozen=True)
class _Answers:
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


Method = Callable[["_Answers", LessonSettings, Array], Objective]
"""Makes the objective of all steps of a lesson from the model's log-probabilities before."""


def _sft(answers: _Answers, settings: LessonSettings, before: Array) -> Objective:
    """Mean cross-entropy of the right answer; the batch holds nothing else."""
    weights = np.full(len(answers.targets), 1 / len(answers.targets), before.dtype)

    def objective(first: int, logits: Array) -> tuple[float, Array]:
        logprobs = objectives.log_softmax(logits)
        return objectives.weighted_logprob(logprobs, answers.targets, weights)

    return objective


def _dpo(answers: _Answers, settings: LessonSettings, before: Array) -> Objective:
    reference = answers.sums(answers.reference)
    lengths = np.diff(answers.starts)

    def objective(first: int, logits: Array) -> tuple[float, Array]:
        logprobs = objectives.log_softmax(logits)
        loss, pull = objectives.dpo(answers.sums(logprobs), reference, settings.beta)
        weights = np.repeat(-pull, lengths).astype(logits.dtype)
        return loss, objectives.weighted_logprob(logprobs, answers.targets, weights)[1]

    return objective


def _reinforce(answers: _Answers, settings: LessonSettings, before: Array) -> Objective:
    count = len(answers.starts) - 1
    rewards = np.zeros(count)
    rewards[0] = answers.right
    advantages = np.repeat(rewards - 1 / count, np.diff(answers.starts)).astype(before.dtype)
    old = objectives.token_logprobs(before, answers.targets)
    rows = len(answers.targets)

    def objective(first: int, logits: Array) -> tuple[float, Array]:
        logprobs = objectives.log_softmax(logits)
        ours = objectives.token_logprobs(logprobs, answers.targets)
        weights = objectives.clipped_weights(ours, old, advantages, settings.clip)
        _, gradient = objectives.weighted_logprob(logprobs, answers.targets, weights)
        divergence, pull = objectives.kl_divergence(logprobs, answers.reference)
        ratio = np.exp(ours - old)
        clipped = np.clip(ratio, 1 - settings.clip, 1 + settings.clip)
        gained = np.minimum(ratio * advantages, clipped * advantages)
        value = (settings.kl * divergence.sum() - gained.sum()) / rows
        return float(value), (gradient + settings.kl * pull) / rows

    return objective


_METHODS: Mapping[MethodName, Method] = {"sft": _sft, "dpo": _dpo, "reinforce": _reinforce}


class Learner:
    """A model that learns, with the state that it needs for that.

    Attributes:
        model: what learns; its weights change in place.
        reference: the base model, which does not.
        optimizer: Adam; its moments are kept from lesson to lesson.
    """

    def __init__(
        self, model: Model, reference: Model, tokenizer: Tokenizer, corpus: ReplayCorpus | None
    ) -> None:
        """Make ready to learn.

        Args:
            model: with room for passes of several answers (`max_tokens`).
            reference: the model before its first lesson, of the same architecture.
            tokenizer: the models'.
            corpus: what the base model was trained on, for replay; None: there is none.
        """
        self.model, self.reference = model, reference
        self.optimizer = Adam(model, beta2=BETA2)
        self._tokenizer, self._corpus = tokenizer, corpus
        # a pass holds answers, rehearsed ones and replay: long prompts lose their beginning
        self._room = (model.max_tokens - model.config.context) // 2
        self._replays: dict[int, BatchPlan] = {}
        self._before: tuple[Array, ...] = ()
        self._steps_before, self._kept = 0, False

    def learn(self, lesson: Lesson, earlier: Sequence[Lesson] = ()) -> Outcome:
        """Learn a lesson.

        Args:
            lesson: to learn.
            earlier: the lessons that count before it, of which some are rehearsed.

        Raises:
            UserError: there is no base corpus for the replay that it asks for, or a loss is
                not finite: the state is that of before, the moments included.
        """
        begun = time.perf_counter()
        self.check(lesson.settings)
        answers = self._answers(lesson)
        settings = lesson.settings
        self._keep()
        if not answers:
            return Outcome(None, None, None, 0.0, time.perf_counter() - begun, learnt=False)
        try:
            before = objectives.log_softmax(self.model.logits(answers.batch))
            objective = _METHODS[answers.method](answers, settings, before)
            replayed = []
            for step in range(settings.steps):
                loss, of_corpus = self._step(answers, objective, lesson, step, earlier)
                self._update(loss, settings.rate)
                replayed += of_corpus
            after = objectives.log_softmax(self.model.logits(answers.batch))
        except BaseException:
            self.take_back()
            raise
        divergence, _ = objectives.kl_divergence(after, answers.reference)
        return Outcome(
            self._loss(answers, before), self._loss(answers, after),
            sum(replayed) / len(replayed) if replayed else None,
            float(divergence.mean()), time.perf_counter() - begun, learnt=True,
        )  # fmt: skip

    def check(self, settings: LessonSettings) -> None:
        """Raise `UserError` if lessons shall have replay and there is no base corpus."""
        if settings.replay and self._corpus is None:
            raise UserError(
                "there is no train.tokens beside the model, so nothing to replay against "
                "forgetting: --replay 0 teaches without"
            )

    def _replay_window(self, lesson: Lesson, step: int) -> Batch | None:
        """What of the base corpus a step of a lesson sees again."""
        settings = lesson.settings
        length = min(settings.replay, self.model.config.context)
        if not length or self._corpus is None:
            return None
        if length not in self._replays:
            self._replays[length] = self._corpus.replay(length, REPLAY_SEED)
        return self._replays[length].batch(lesson.number * settings.steps + step)

    @property
    def can_take_back(self) -> bool:
        """Whether the state before the last lesson is still known."""
        return self._kept

    def take_back(self) -> None:
        """Return to the state before the last lesson, exactly. Possible once a lesson."""
        if not self._kept:
            raise ValueError("the state before the last lesson is not known any more")
        for values, before in zip(self._changing(), self._before, strict=True):
            values[...] = before
        self.optimizer.steps, self._kept = self._steps_before, False

    def _keep(self) -> None:
        """Remember all that learning changes."""
        if not self._before:
            self._before = tuple(np.empty_like(values) for values in self._changing())
        for values, before in zip(self._changing(), self._before, strict=True):
            before[...] = values
        self._steps_before, self._kept = self.optimizer.steps, True

    def _changing(self) -> tuple[Array, ...]:
        return self.model.flat, self.optimizer.m, self.optimizer.v

    def begin_again(self) -> None:
        """Return to the base model, as if there had been no lesson."""
        self.model.flat[...] = self.reference.flat
        self.optimizer.reset()
        self._kept = False

    def _answers(self, lesson: Lesson) -> _Answers | None:
        """What the lesson's method learns from; None: nothing."""
        context = self.model.config.context
        answers, right = lesson.answers(self._tokenizer, context)
        method = lesson.settings.method
        if method != "reinforce" and not right:
            return None
        if right and len(answers) < 2:  # nothing to prefer it to
            method = "sft"
        if method == "sft":
            answers = answers[:1]
        batch = answer_batch(answers, min(context, self._room // len(answers)))
        return _Answers(
            batch, batch.targets[batch.targets >= 0], reply_starts(batch),
            objectives.log_softmax(self.reference.logits(batch)), right, method,
        )  # fmt: skip

    def _rehearsed(self, lesson: Lesson, step: int, earlier: Sequence[Lesson]) -> Batch | None:
        """Right answers of earlier lessons, drawn for this step of this lesson."""
        known = [one for one in earlier if one.right is not None]
        count = min(lesson.settings.rehearse, len(known))
        if not count:
            return None
        rng = np.random.Generator(np.random.Philox(key=[lesson.number, step]))
        chosen = np.argsort(rng.random(len(known)), kind="stable")[:count]
        context = self.model.config.context
        answers = [known[i].answers(self._tokenizer, context)[0][0] for i in chosen]
        return answer_batch(answers, min(context, self._room // count))

    def _step(
        self, answers: _Answers, objective: Objective, lesson: Lesson, step: int,
        earlier: Sequence[Lesson],
    ) -> tuple[float, list[float]]:  # fmt: skip
        """Gradients of a step; its loss, and that of the base corpus if it is in it."""
        rehearsed = self._rehearsed(lesson, step, earlier)
        window = self._replay_window(lesson, step)
        others = 0 if rehearsed is None else len(rehearsed.offsets) - 1
        share = OWN / (OWN + others)
        parts = [WeightedObjective(answers.batch, share, objective)]
        if rehearsed is not None:
            parts.append(WeightedObjective(rehearsed, 1 - share, mean_cross_entropy(rehearsed)))
        seen: list[float] = []
        if window is not None:
            parts.append(self._against_forgetting(window, lesson.settings, seen))
        return gradients_of(self.model, parts), seen

    def _against_forgetting(
        self, window: Batch, settings: LessonSettings, seen: list[float]
    ) -> WeightedObjective:
        """A window of the base corpus; its cross-entropy is appended to `seen`."""
        if settings.replay_loss == "kl":
            return WeightedObjective(window, settings.anchor, held_to(self.reference, window, seen))
        learn_text = mean_cross_entropy(window)

        def objective(first: int, logits: Array) -> tuple[float, Array]:
            value, pull = learn_text(first, logits)
            seen.append(value)
            return value, pull

        return WeightedObjective(window, settings.anchor, objective)

    def _loss(self, answers: _Answers, logprobs: Array) -> float | None:
        """Mean loss of the right answer's tokens."""
        if not answers.right:
            return None
        end = int(answers.starts[1])
        return -float(objectives.token_logprobs(logprobs, answers.targets)[:end].mean())

    def _update(self, value: float, rate: float) -> None:
        """A step of Adam on the gradients that are there; `value` is what they are of."""
        norm = self.optimizer.gradient_norm()
        if not (np.isfinite(value) and np.isfinite(norm)):
            raise UserError(
                f"the lesson's loss is {value:g}, its gradient {norm:g}: nothing was learnt: "
                "lower --lr, or /undo earlier lessons"
            )
        self.optimizer.update(rate, norm)
