"""Lessons as journals of format 2 have them: a fixed number of steps, on questions as they stand.

A step minimises (OWN * own + n * rehearsed) / (OWN + n) + anchor * window, with n right answers of
earlier lessons and a window of the base corpus, and all layers learn. Such lessons are still learnt
again to the same bytes; new ones are learnt as vidya/posttraining/teaching/learner.py has it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vidya.model import objectives
from vidya.model.adam import Adam
from vidya.model.transformer import Model, Objective
from vidya.posttraining.answer_batches import answer_batch
from vidya.posttraining.gradient_step import WeightedObjective, gradients_of, update_if_finite
from vidya.posttraining.replay_corpus import ReplayCorpus
from vidya.posttraining.teaching.lesson import Lesson
from vidya.posttraining.teaching.methods import lesson_answers, lesson_objective
from vidya.posttraining.teaching.options import FixedStepSettings
from vidya.posttraining.token_objectives import held_to, mean_cross_entropy
from vidya.text.batch_plan import Batch, BatchPlan
from vidya.text.tokenizer import Tokenizer

OWN = 0.5
"""What the answer of a lesson counts beside a rehearsed one: it is in every step."""


class FixedSteps:
    """What learns such lessons.

    Attributes:
        optimizer: Adam over all parameters; its moments are kept from lesson to lesson.
    """

    def __init__(
        self, model: Model, reference: Model, tokenizer: Tokenizer, corpus: ReplayCorpus | None
    ) -> None:
        self.optimizer = Adam(model, beta2=0.99)
        self._model, self._reference = model, reference
        self._tokenizer, self._corpus = tokenizer, corpus
        self._room = (model.max_tokens - model.config.context) // 2
        self._replays: dict[int, BatchPlan] = {}

    def learn(self, lesson: Lesson, settings: FixedStepSettings, earlier: Sequence[Lesson]) -> int:
        """Make the steps of a lesson; how many: none if it has no answer to learn from.

        Raises:
            NotFiniteError: a loss is not finite; the steps before it are made.
        """
        context = self._model.config.context
        answers = lesson_answers(lesson, self._tokenizer, self._reference, self._room, context)
        if answers is None:
            return 0
        before = objectives.log_softmax(self._model.logits(answers.batch))
        objective = lesson_objective(answers, settings, before)
        own = answers.batch, objective
        for step in range(settings.steps):
            parts = self.parts(own, lesson, settings, step, earlier)
            update_if_finite(self.optimizer, gradients_of(self._model, parts), settings.rate)
        return settings.steps

    def parts(
        self, own: tuple[Batch, Objective], lesson: Lesson, settings: FixedStepSettings, step: int,
        earlier: Sequence[Lesson],
    ) -> list[WeightedObjective]:  # fmt: skip
        """What a step minimises, given the lesson's answers and what is minimised of them."""
        rehearsed = self.rehearsed(lesson, settings, step, earlier)
        window = self.window(lesson, settings, step)
        others = 0 if rehearsed is None else len(rehearsed.offsets) - 1
        share = OWN / (OWN + others)
        parts = [WeightedObjective(own[0], share, own[1])]
        if rehearsed is not None:
            parts.append(WeightedObjective(rehearsed, 1 - share, mean_cross_entropy(rehearsed)))
        if window is not None:
            held = settings.replay_loss == "kl"
            replayed = held_to(self._reference, window) if held else mean_cross_entropy(window)
            parts.append(WeightedObjective(window, settings.anchor, replayed))
        return parts

    def rehearsed(
        self, lesson: Lesson, settings: FixedStepSettings, step: int, earlier: Sequence[Lesson]
    ) -> Batch | None:
        """Right answers of earlier lessons, drawn for this step of this lesson."""
        known = [one for one in earlier if one.right is not None]
        count = min(settings.rehearse, len(known))
        if not count:
            return None
        rng = np.random.Generator(np.random.Philox(key=[lesson.number, step]))
        chosen = np.argsort(rng.random(len(known)), kind="stable")[:count]
        context = self._model.config.context
        answers = [known[i].answers(self._tokenizer, context)[0][0] for i in chosen]
        return answer_batch(answers, min(context, self._room // count))

    def window(self, lesson: Lesson, settings: FixedStepSettings, step: int) -> Batch | None:
        """What of the base corpus a step of a lesson sees again."""
        length = min(settings.replay, self._model.config.context)
        if not length or self._corpus is None:
            return None
        if length not in self._replays:
            self._replays[length] = self._corpus.replay(length, seed=0)
        return self._replays[length].batch(lesson.number * settings.steps + step)
