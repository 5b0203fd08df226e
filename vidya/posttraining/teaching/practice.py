"""What a step of a lesson sees: the answer in many settings, earlier ones, and other talk.

- Own: the answer after its question as it stands, after the same as a later message (of talk, or of
  a taught question and its answer), and after other forms of the question.
- Rehearsed: right answers of earlier lessons, likewise.
- Held: messages of the base corpus (vidya/posttraining/teaching/other_messages.py), with what the
  model says to them by now (vidya/posttraining/teaching/led_replies.py), with their own replies or
  with taught answers after them. The model shall say what the base model says at each of these
  tokens: after `how are you? I am` no name must come, though the lesson taught one. With a window
  of the corpus for all other text.

All is drawn from the lesson's number and the step, and led by what the model said in the steps
before: the same state, lesson and earlier lessons give the same batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from vidya.generation.chat_tokens import chat_prompt, conversation_ids, turn_ids
from vidya.posttraining.answer_batches import Answer, answer_batch
from vidya.posttraining.rewording.forms import plain_wording
from vidya.posttraining.rewording.question_ids import reworded_ids
from vidya.posttraining.teaching.led_replies import LedReplies
from vidya.posttraining.teaching.lesson import Lesson
from vidya.posttraining.teaching.options import LessonSettings
from vidya.posttraining.teaching.other_messages import OtherMessage, OtherMessages
from vidya.posttraining.teaching.rehearsal import Rehearsal
from vidya.text.batch_plan import Batch, BatchPlan
from vidya.text.tokenizer import Tokenizer

FORMS_WRITTEN = 48
"""Other forms of a question that a lesson has; each step takes some of them."""
LATER = 0.4
"""How often a question comes as a later message."""
_LED_BY_THEN = 8
"""Steps after which held replies have gone where the model goes."""
_NEAR = 12
"""Near misses of which each step takes some."""
_HELD_TOKENS = 5
"""Tokens of a reply that a model is held at: where it goes, it has gone by then."""
_HISTORY_TOKENS = 48
"""Tokens of talk before a later message, at most: a lesson must be quick."""


def draw_forms(
    tokenizer: Tokenizer, question: str, number: int, taught: Iterable[str] = ()
) -> tuple[tuple[int, ...], ...]:
    """Distinct other forms of a question as ids, drawn by the number of its lesson.

    None of them is another question that was taught.
    """
    rng = np.random.Generator(np.random.Philox(key=[number, 2**40]))
    avoid = frozenset(map(plain_wording, taught)) - {plain_wording(question)}
    drawn = [
        tuple(reworded_ids(tokenizer, question, rng, avoid=avoid)) for _ in range(2 * FORMS_WRITTEN)
    ]
    plain = tuple(turn_ids(tokenizer, question))
    return tuple(form for form in dict.fromkeys(drawn) if form != plain)[:FORMS_WRITTEN]


@dataclass(frozen=True)
class StepTexts:
    """Batches of a step; None where there is nothing of the kind."""

    own: Batch | None
    rehearsed: Batch | None
    held: Batch | None
    leaks: tuple[int, ...]
    """Which texts of `held` have the lesson's own answer for a reply."""
    window: bool = False
    """Whether the last text of `held` is a window of the corpus."""
    led: LedReplies | None = None
    """The first texts of `held`."""


class Practice:
    """The texts of one lesson."""

    def __init__(
        self, lesson: Lesson, settings: LessonSettings, earlier: Sequence[Lesson],
        others: OtherMessages, windows: BatchPlan | None, tokenizer: Tokenizer, context: int,
    ) -> None:  # fmt: skip
        """`windows` of the base corpus, one a step, and no `others` without them."""
        self._lesson, self._settings = lesson, settings
        self._tokenizer, self._context = tokenizer, context
        self._earlier = [one for one in earlier if one.right is not None]
        self._windows, self._others = windows, others
        self._apart: list[OtherMessage] = []
        self._near: list[OtherMessage] = []
        if windows is not None and settings.others:
            self._apart = others.apart_from(one.turns[-1] for one in (lesson, *self._earlier))
            self._near = others.nearest(lesson.turns[-1], self._apart, _NEAR)
        self._near_earlier: dict[str, list[OtherMessage]] = {}
        self._rehearsal = Rehearsal(
            len(self._earlier), settings.rehearse, missed_again=not settings.rehearse_any
        )
        self._reply = self._right(lesson) if lesson.right is not None else None
        others_held = min(settings.others, len(self._apart))
        self._along_answers = others_held - int(others_held * settings.own_replies)
        self._led = LedReplies(
            others_held - self._along_answers,
            [self._right(one) for one in (lesson, *self._earlier) if one.right is not None],
            tokenizer.special_ids,
        )  # fmt: skip

    def to_search(self, count: int) -> list[list[int]]:
        """Prompts of other messages among which leaks are looked for: near misses, and any."""
        rng = np.random.Generator(np.random.Philox(key=[self._lesson.number, 2**41]))
        near = self._near[:count]
        others = [self._apart[i] for i in rng.permutation(len(self._apart))]
        rest = [one for one in others if one not in near]
        return [self._prompt_of(one) for one in [*near, *rest][:count]]

    @property
    def taught(self) -> set[tuple[int, ...]]:
        """The answers that are taught by now, as ids, the beginnings of long ones."""
        return self._led.taught

    def bring(self, leaks: Sequence[Answer]) -> None:
        """Hold the model at these messages next, to which it says a taught answer."""
        self._led.bring(leaks)

    @property
    def least_steps(self) -> int:
        """Steps of a lesson at least: before, nobody knows where the held replies lead."""
        return _LED_BY_THEN if len(self._led) else 0

    def saw(self, likeliest: Sequence[Sequence[int]], rehearsed: Sequence[bool] = ()) -> None:
        """Take note of a step.

        Args:
            likeliest: token at each token of the held replies.
            rehearsed: which rehearsed answers were known.
        """
        self._led.saw(likeliest[: len(self._led)])
        self._rehearsal.saw(rehearsed)

    def step(self, number: int) -> StepTexts:
        """What a step sees."""
        rng = np.random.Generator(np.random.Philox(key=[self._lesson.number, number]))
        own = self._own(rng) if self._reply else []
        chosen = self._rehearsal.step(rng)
        rehearsed = [self._asked_somehow(self._earlier[i], rng) for i in chosen]
        held, leaks = self._held(rng)
        if self._windows is not None:
            window = self._windows.batch(self._lesson.number * 64 + number)
            held.append(Answer(window.tokens[:1].tolist(), window.targets.tolist()))
        return StepTexts(
            self._batch(own), self._batch(rehearsed), self._batch(held), tuple(leaks),
            window=self._windows is not None, led=self._led,
        )  # fmt: skip

    def asked(self, question: Sequence[int] | None = None, history: Sequence[int] = ()) -> Answer:
        """The right answer of the lesson after its question, or a form of it as ids."""
        return self._asked(self._lesson, question, history)

    def _batch(self, answers: Sequence[Answer]) -> Batch | None:
        return answer_batch(answers, self._context) if answers else None

    def _right(self, lesson: Lesson) -> Sequence[int]:
        return lesson.answers(self._tokenizer, self._context)[0][0].reply

    def _asked(
        self, lesson: Lesson, question: Sequence[int] | None, history: Sequence[int] = ()
    ) -> Answer:
        tokenizer, reply = self._tokenizer, self._right(lesson)
        if question is None and not history:
            return Answer(chat_prompt(tokenizer, lesson.turns, self._context), reply)
        before = conversation_ids(tokenizer, lesson.turns[:-1], self._context)
        asked = turn_ids(tokenizer, lesson.turns[-1]) if question is None else question
        prompt = [tokenizer.user_id, *asked, tokenizer.assistant_id]
        return Answer([before[0], *history, *before[1:], *prompt], reply)

    def _own(self, rng: np.random.Generator) -> list[Answer]:
        """As it stands, as a later message, and in other forms, of which some come later."""
        forms, found = self._lesson.forms, [self.asked()]
        found.append(self._asked(self._lesson, None, self._history(rng)))
        for place in rng.permutation(len(forms))[: self._settings.forms]:
            history = self._history(rng) if rng.random() < LATER else ()
            found.append(self._asked(self._lesson, forms[place], history))
        return found

    def _asked_somehow(self, lesson: Lesson, rng: np.random.Generator) -> Answer:
        """An earlier lesson, as it stands one time in three."""
        history = self._history(rng) if rng.random() < LATER else ()
        if not lesson.forms or rng.random() < 1 / 3:
            return self._asked(lesson, None, history)
        return self._asked(lesson, lesson.forms[int(rng.integers(len(lesson.forms)))], history)

    def _history(self, rng: np.random.Generator) -> list[int]:
        """An exchange before a message: one that was taught or one of the corpus."""
        taught = rng.random() < 0.5
        tokenizer, earlier, known = self._tokenizer, self._earlier, self._apart
        if earlier and (taught or not known):
            one = earlier[int(rng.integers(len(earlier)))]
            message, reply = turn_ids(tokenizer, one.turns[-1]), self._right(one)
            said = [tokenizer.user_id, *message, tokenizer.assistant_id, *reply]
            if said[-1] in tokenizer.special_ids:
                said.pop()
        elif known:
            other = known[int(rng.integers(len(known)))]
            said = [tokenizer.user_id, *other.message, tokenizer.assistant_id, *other.reply]
        else:
            return []
        return said if len(said) <= _HISTORY_TOKENS else []

    def _held(self, rng: np.random.Generator) -> tuple[list[Answer], list[int]]:
        """Other messages with their replies or taught answers; which have the lesson's own."""
        held = self._led.answers(lambda place: self._to_be_led(place, rng))
        leaks: list[int] = []
        for place in range(self._along_answers):
            # every other one near, two in three with a taught answer behind them
            other = self._other(self._near if place % 2 else [], rng)
            if place % 3 and self._reply:
                reply = self._reply
                if self._earlier and rng.random() < 0.4:
                    reply = self._right(self._earlier[int(rng.integers(len(self._earlier)))])
                else:
                    leaks.append(len(held))
                other = Answer(other.prompt, reply[:_HELD_TOKENS])
            held.append(other)
        return held, leaks

    def _to_be_led(self, place: int, rng: np.random.Generator) -> Answer:
        """A message: one in three a near miss of the lesson's question, one of an earlier one."""
        if place % 3 == 1 and self._earlier:
            question = self._earlier[int(rng.integers(len(self._earlier)))].turns[-1]
            if question not in self._near_earlier:
                found = self._others.nearest(question, self._apart, _NEAR)
                self._near_earlier[question] = found
            return self._other(self._near_earlier[question], rng)
        return self._other(self._near if place % 3 == 0 else [], rng)

    def _other(self, near: Sequence[OtherMessage], rng: np.random.Generator) -> Answer:
        """One of some messages, or any if they are none, with the beginning of its own reply."""
        some = near or self._apart
        other = some[int(rng.integers(len(some)))]
        history = self._history(rng) if rng.random() < LATER / 2 else []
        return Answer(self._prompt_of(other, history), other.reply[:_HELD_TOKENS])

    def _prompt_of(self, other: OtherMessage, history: Sequence[int] = ()) -> list[int]:
        tokenizer = self._tokenizer
        return [
            tokenizer.bos_id, *history, tokenizer.user_id, *other.message, tokenizer.assistant_id
        ]  # fmt: skip
