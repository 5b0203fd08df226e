"""Learning from lessons: a model, its optimizer, and the model that it began as.

A lesson is some gradient steps of Adam on its answers by one of three methods
(vidya/posttraining/teaching/methods.py). Each step also sees the right answers of some earlier
lessons again, and a window of the base corpus, where the model is held to what the base model
says (or learns the text again). A step minimises

    (OWN * own + n * rehearsed) / (OWN + n) + anchor * window

with n earlier answers: an answer is one of many that must be known together. Were a new one
given the weight of all others, each lesson would undo some of those before
(docs/TEACHING.md has the figures). What comes out is a function of the state before, the
lesson and the lessons before it, so a journal of lessons can be learnt again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidya.errors import UserError
from vidya.model import objectives
from vidya.model.adam import Adam
from vidya.model.transformer import Model, Objective
from vidya.posttraining.answer_batches import answer_batch, reply_starts
from vidya.posttraining.gradient_step import (
    NotFiniteError,
    WeightedObjective,
    gradients_of,
    update_if_finite,
)
from vidya.posttraining.kept_weights import KeptWeights
from vidya.posttraining.replay_corpus import ReplayCorpus
from vidya.posttraining.teaching.lesson import Lesson
from vidya.posttraining.teaching.methods import LessonAnswers, lesson_objective
from vidya.posttraining.teaching.options import LessonSettings
from vidya.posttraining.token_objectives import held_to, mean_cross_entropy
from vidya.text.batch_plan import Batch, BatchPlan
from vidya.text.tokenizer import Tokenizer

OWN = 0.5
"""What the answer of a lesson counts beside a rehearsed one: it is in every step."""


@dataclass(frozen=True)
class LessonOutcome:
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
        """Make ready; `model` has room for several answers at a time, `corpus` is for replay."""
        self.model, self.reference = model, reference
        self.optimizer = Adam(model, beta2=0.99)  # lessons are few, each is something else
        self._tokenizer, self._corpus = tokenizer, corpus
        # a pass holds answers, rehearsed ones and replay: long prompts lose their beginning
        self._room = (model.max_tokens - model.config.context) // 2
        self._replays: dict[int, BatchPlan] = {}
        self._before = KeptWeights(model.flat, self.optimizer.m, self.optimizer.v)

    def learn(self, lesson: Lesson, earlier: Sequence[Lesson] = ()) -> LessonOutcome:
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
        answers, settings = self._answers(lesson), lesson.settings
        self._before.keep(self.optimizer.steps)
        if not answers:
            return LessonOutcome(None, None, None, 0.0, time.perf_counter() - begun, learnt=False)
        seen: list[float] = []
        try:
            before = objectives.log_softmax(self.model.logits(answers.batch))
            objective = lesson_objective(answers, settings, before)
            for step in range(settings.steps):
                loss = self._step(answers, objective, lesson, step, earlier, seen)
                update_if_finite(self.optimizer, loss, settings.rate)
            after = objectives.log_softmax(self.model.logits(answers.batch))
        except NotFiniteError as error:
            self.take_back()
            raise UserError(
                f"{error}: nothing was learnt: lower --lr, or /undo earlier lessons"
            ) from error
        except BaseException:
            self.take_back()
            raise
        divergence, _ = objectives.kl_divergence(after, answers.reference)
        return LessonOutcome(
            answers.loss(before), answers.loss(after), sum(seen) / len(seen) if seen else None,
            float(divergence.mean()), time.perf_counter() - begun, learnt=True,
        )  # fmt: skip

    def check(self, settings: LessonSettings) -> None:
        """Raise `UserError` if lessons shall have replay and there is no base corpus."""
        if settings.replay and self._corpus is None:
            raise UserError(
                "there is no train.tokens beside the model, so nothing to replay against "
                "forgetting: --replay 0 teaches without"
            )

    @property
    def can_take_back(self) -> bool:
        """Whether the state before the last lesson is still known."""
        return self._before.step is not None

    def take_back(self) -> None:
        """Return to the state before the last lesson, exactly. Possible once a lesson."""
        self.optimizer.steps = self._before.take_back()
        self._before.forget()

    def begin_again(self) -> None:
        """Return to the base model, as if there had been no lesson."""
        self.model.flat[...] = self.reference.flat
        self.optimizer.reset()
        self._before.forget()

    def _answers(self, lesson: Lesson) -> LessonAnswers | None:
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
        return LessonAnswers(
            batch, batch.targets[batch.targets >= 0], reply_starts(batch),
            objectives.log_softmax(self.reference.logits(batch)), right, method,
        )  # fmt: skip

    def _step(
        self, answers: LessonAnswers, objective: Objective, lesson: Lesson, step: int,
        earlier: Sequence[Lesson], seen: list[float],
    ) -> float:  # fmt: skip
        """Gradients of a step; its loss. That of the base corpus is appended to `seen`."""
        rehearsed = self._rehearsed(lesson, step, earlier)
        window, settings = self._replay_window(lesson, step), lesson.settings
        others = 0 if rehearsed is None else len(rehearsed.offsets) - 1
        share = OWN / (OWN + others)
        parts = [WeightedObjective(answers.batch, share, objective)]
        if rehearsed is not None:
            parts.append(WeightedObjective(rehearsed, 1 - share, mean_cross_entropy(rehearsed)))
        if window is not None:
            if settings.replay_loss == "kl":
                replayed = held_to(self.reference, window, seen)
            else:
                replayed = mean_cross_entropy(window, seen)
            parts.append(WeightedObjective(window, settings.anchor, replayed))
        return gradients_of(self.model, parts)

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

    def _replay_window(self, lesson: Lesson, step: int) -> Batch | None:
        """What of the base corpus a step of a lesson sees again."""
        settings = lesson.settings
        length = min(settings.replay, self.model.config.context)
        if not length or self._corpus is None:
            return None
        if length not in self._replays:
            self._replays[length] = self._corpus.replay(length, seed=0)
        return self._replays[length].batch(lesson.number * settings.steps + step)
