"""Learning from lessons: a model, its optimizer, and the model that it began as.

A lesson takes gradient steps of Adam until the model says the answer, in the ways in which the step
has just asked (vidya/posttraining/teaching/practice.py), and says it to no other message there; or
as many as it may. Whether it does so is read from the logits of the step's own forward pass: greedy
decoding says an answer if each of its tokens is the likeliest after those before it. A step
minimises

    (OWN * own + n * rehearsed) / (OWN + n) + anchor * held

with n earlier answers; `held` is the mean of KL(base || model) at the tokens where the model shall
be what it was. The upper half of the layers learns, which costs half as much and is undone, kept
and written with half the bytes.

What comes out is a function of the state before, the lesson and the lessons before it, so a journal
of lessons can be learnt again.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

import numpy as np

from vidya.errors import UserError
from vidya.generation.chat_tokens import turn_ids
from vidya.generation.generator import Generator
from vidya.measuring.leaks import lesson_leaks
from vidya.model import objectives
from vidya.model.adam import Adam
from vidya.model.transformer import Model, Objective
from vidya.posttraining.answer_batches import answer_batch
from vidya.posttraining.gradient_step import NotFiniteError, update_if_finite
from vidya.posttraining.kept_weights import KeptWeights
from vidya.posttraining.replay_corpus import ReplayCorpus
from vidya.posttraining.rewording.forms import other_words
from vidya.posttraining.teaching.fixed_steps import FixedSteps
from vidya.posttraining.teaching.leak_search import LeakSearch
from vidya.posttraining.teaching.lesson import Lesson
from vidya.posttraining.teaching.lesson_step import LessonStep, Seen, margins
from vidya.posttraining.teaching.methods import LessonAnswers, lesson_answers, lesson_objective
from vidya.posttraining.teaching.options import FixedStepSettings, LessonSettings
from vidya.posttraining.teaching.other_messages import OtherMessages
from vidya.posttraining.teaching.outcome import LessonOutcome
from vidya.posttraining.teaching.practice import Practice
from vidya.text.batch_plan import BatchPlan
from vidya.text.tokenizer import Tokenizer

FORMS_ASKED = 4
"""Forms of the question, never learnt, that are asked after a lesson."""


_CHUNK = 2**15
SEARCHED_EVERY = 6
"""Steps from one search for leaks to the next."""
LEAKS_SOUGHT = 16
"""Leaks after which a search may end: about as many as a step can hold."""
LEAKS_LEFT = 1
"""Leaks that a search may find for a lesson to end: some messages are as good as the question."""
REJECTION_STEPS = 4
"""Steps of a rejection at least: answers that are no greedy reply become less likely, too."""


class Learner:
    """A model that learns, with the state that it needs for that.

    Attributes:
        model: what learns; its weights change in place.
        reference: the base model, which does not.
        optimizer: Adam over what learns; its moments are kept from lesson to lesson.
        fixed: what learns lessons of journals of format 2.
        others: messages that no lesson is about.
    """

    def __init__(
        self, model: Model, reference: Model, tokenizer: Tokenizer, corpus: ReplayCorpus | None
    ) -> None:
        """Make ready.

        Args:
            model: with room for several answers at a time.
            reference: the same model, which stays.
            tokenizer: of both.
            corpus: what they were trained on.
        """
        self.model, self.reference = model, reference
        self.layer = model.config.n_layer // 2
        first = model.first_parameter_of(self.layer)
        # lessons are few, each is something else
        self.optimizer = Adam(model, beta2=0.99, first=first)
        self.fixed = FixedSteps(model, reference, tokenizer, corpus)
        self.others = OtherMessages(corpus, tokenizer)
        self._tokenizer, self._corpus = tokenizer, corpus
        self._windows: dict[int, BatchPlan] = {}
        # a pass holds answers, rehearsed ones and what is held: long prompts lose their beginning
        self._room = (model.max_tokens - model.config.context) // 2
        self._below_is_base: bool | None = None
        m, v = self.optimizer.m, self.optimizer.v
        self._before = KeptWeights(model.flat[first:], m, v)
        m, v = self.fixed.optimizer.m, self.fixed.optimizer.v
        self._before_fixed = KeptWeights(model.flat, m, v)

    def learn(self, lesson: Lesson, earlier: Sequence[Lesson] = ()) -> LessonOutcome:
        """Learn a lesson.

        Args:
            lesson: to learn.
            earlier: the lessons that count before it, of which some are rehearsed.

        Raises:
            UserError: there is no base corpus to hold it to, or a loss is not finite: the state
                is that of before, the moments included.
        """
        begun = time.perf_counter()
        self.check(lesson.settings)
        fixed = isinstance(lesson.settings, FixedStepSettings)
        self._keep(fixed)
        try:
            if fixed:
                found = self._learn_fixed(lesson, earlier)
            else:
                found = self._learn(lesson, earlier)
        except NotFiniteError as error:
            self.take_back()
            raise UserError(
                f"{error}: nothing was learnt: lower --lr, or /undo earlier lessons"
            ) from error
        except BaseException:
            self.take_back()
            raise
        return dataclasses.replace(found, seconds=time.perf_counter() - begun)

    def leaks(self, generator: Generator, lesson: Lesson, outcome: LessonOutcome) -> LessonOutcome:
        """The outcome with what other messages get of the lesson's answer.

        Args:
            generator: with the weights as they are, all its slots free.
            lesson: that was learnt.
            outcome: of it.
        """
        if lesson.right is None or not outcome.learnt:
            return outcome
        messages = self.others.to_ask([lesson.turns[-1]])
        if not messages:
            return outcome
        found = lesson_leaks(generator, self._tokenizer, lesson.right, messages)
        return dataclasses.replace(outcome, leaks=found, leaks_asked=len(messages))

    def check(self, settings: LessonSettings | FixedStepSettings) -> None:
        """Raise `UserError` if the model shall be held to its corpus and there is none."""
        if settings.replay and self._corpus is None:
            raise UserError(
                "there is no train.tokens beside the model, so nothing to replay against "
                "forgetting: --replay 0 teaches without"
            )

    @property
    def can_take_back(self) -> bool:
        """Whether the state before the last lesson is still known."""
        return self._before.step is not None or self._before_fixed.step is not None

    def take_back(self) -> None:
        """Return to the state before the last lesson, exactly. Possible once a lesson."""
        if self._before_fixed.step is not None:
            self.fixed.optimizer.steps = self._before_fixed.take_back()
            self._below_is_base = None
        else:
            self.optimizer.steps = self._before.take_back()
        self._forget()

    def begin_again(self) -> None:
        """Return to the base model, as if there had been no lesson."""
        self.model.flat[...] = self.reference.flat
        self.optimizer.reset()
        self.fixed.optimizer.reset()
        self._below_is_base = None
        self._forget()

    def optimizer_of(self, lessons: Sequence[Lesson]) -> Adam:
        """The optimizer whose moments the next lesson needs, or an undo has to find."""
        old = lessons and isinstance(lessons[-1].settings, FixedStepSettings)
        return self.fixed.optimizer if old else self.optimizer

    def _keep(self, fixed: bool) -> None:
        self._forget()
        if fixed:
            self._before_fixed.keep(self.fixed.optimizer.steps)
        else:
            self._before.keep(self.optimizer.steps)

    def _forget(self) -> None:
        self._before.forget()
        self._before_fixed.forget()

    def _learn_fixed(self, lesson: Lesson, earlier: Sequence[Lesson]) -> LessonOutcome:
        assert isinstance(lesson.settings, FixedStepSettings)
        self._below_is_base = None
        steps = self.fixed.learn(lesson, lesson.settings, earlier)
        return LessonOutcome(steps > 0, False, None, 0, 0, None, None, None, steps, 0.0)

    def _learn(self, lesson: Lesson, earlier: Sequence[Lesson]) -> LessonOutcome:
        settings, right = lesson.settings, lesson.right
        assert isinstance(settings, LessonSettings)
        nothing = LessonOutcome(False, False, None, 0, 0, None, None, None, 0, 0.0)
        if right is None and settings.method != "reinforce":
            return nothing
        said = [lesson.is_right(one.text, self._tokenizer) for one in lesson.candidates]
        again = any(one.turns == lesson.turns and one.right == right for one in earlier)
        if said and all(said) and not again:
            return dataclasses.replace(nothing, known=True, says_it=True)
        practice = Practice(
            lesson, settings, earlier, self.others, self._windows_of(settings),
            self._tokenizer, self.model.config.context,
        )  # fmt: skip
        chosen = None
        if settings.method != "sft":
            chosen = self._chosen(lesson)
        step = LessonStep(
            self.model, self.reference, self.layer, settings, *(chosen or (None, None)),
            same_below=self._same_below(),
        )  # fmt: skip
        search = self._search(practice, settings.searched)
        least = REJECTION_STEPS if right is None else practice.least_steps
        first: Seen | None = None
        number = 0
        while True:
            if search is not None and number and number % SEARCHED_EVERY == 0:
                practice.bring(search.find(LEAKS_SOUGHT))
            seen = step.look(
                practice.step(number), learn=number < settings.steps, go_on=number < least
            )
            first = first or seen
            if number == 0 and seen.says_it and (seen.done or not again):
                return dataclasses.replace(
                    nothing, known=True, says_it=True, before=seen.loss, after=seen.loss
                )
            if number == settings.steps:
                break
            if seen.done and number >= least:
                leaks = search.find(LEAKS_SOUGHT) if search is not None else []
                if len(leaks) <= LEAKS_LEFT:
                    break
                practice.bring(leaks)
                seen = step.look(practice.step(number), learn=True, go_on=True)
            update_if_finite(self.optimizer, seen.objective, settings.rate_of(number))
            self._decay(settings.decay)
            practice.saw(seen.likeliest, seen.rehearsed)
            number += 1
        known, asked = self._forms_known(lesson, practice) if right is not None else (0, 0)
        return LessonOutcome(
            number > 0, False, seen.says_it, known, asked, first.loss, seen.loss, seen.drift,
            number, 0.0,
        )  # fmt: skip

    def _search(self, practice: Practice, count: int) -> LeakSearch | None:
        """A search for leaks among messages to which the base model says no taught answer."""
        prompts = practice.to_search(count)
        if not prompts:
            return None
        search = LeakSearch(self.model, self.layer, prompts, practice.taught)
        search.leave_out(self.reference, same_below=self._same_below())
        return search

    def _decay(self, share: float) -> None:
        """Go a share of the way back to the base model (L2-SP, Li et al. 2018, beside Adam)."""
        if share:
            first = self.optimizer.first
            now, base = self.model.flat[first:], self.reference.flat[first:]
            for at in range(0, len(now), _CHUNK):  # which stays in the processor's cache
                some = now[at : at + _CHUNK]
                some += np.float32(share) * (base[at : at + _CHUNK] - some)

    def _chosen(self, lesson: Lesson) -> tuple[LessonAnswers, Objective] | None:
        """All answers of a lesson and what its method minimises of them; None: of one alone."""
        room, context = self._room, self.model.config.context
        answers = lesson_answers(lesson, self._tokenizer, self.reference, room, context)
        if answers is None or answers.method == "sft":
            return None
        before = objectives.log_softmax(self.model.logits(answers.batch))
        return answers, lesson_objective(answers, lesson.settings, before)

    def _forms_known(self, lesson: Lesson, practice: Practice) -> tuple[int, int]:
        """How many of some forms that were never learnt get the answer, and of how many."""
        forms = other_words(lesson.turns[-1], FORMS_ASKED, seed=0)
        if not forms:
            return 0, 0
        asked = answer_batch(
            [practice.asked(turn_ids(self._tokenizer, form)) for form in forms],
            self.model.config.context,
        )  # fmt: skip
        known = margins(asked, self.model.logits(asked)) > 0
        return int(np.count_nonzero(known)), len(forms)

    def _windows_of(self, settings: LessonSettings) -> BatchPlan | None:
        length = min(settings.replay, self.model.config.context)
        if not length or self._corpus is None:
            return None
        if length not in self._windows:
            self._windows[length] = self._corpus.replay(length, seed=0)
        return self._windows[length]

    def _same_below(self) -> bool:
        """Whether model and base are the same where nothing learns, as lessons of now leave it."""
        if self._below_is_base is None:
            first = self.optimizer.first
            self._below_is_base = bool(
                np.array_equal(self.model.flat[:first], self.reference.flat[:first])
            )
        return self._below_is_base
