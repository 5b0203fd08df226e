"""What a persona is worth in a model: known as taught, in other words, in conversation; leaks.

- As taught: the questions are asked as they stand in what was taught.
- In other words: rewordings of them are asked, which were never trained on.
- In one conversation: ten of them, in a shuffled order, with the model's own replies between
  (vidya/measuring/taught_conversations.py).
- Leaks: ordinary messages that get a taught answer (vidya/measuring/leaks.py).

All replies are greedy, and are the taught answer from a token F1 of 0.8 on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vidya.generation.generator import Generator
from vidya.measuring.answers_given import answers_given
from vidya.measuring.leaks import leaked, taught_answers_to
from vidya.measuring.taught_conversations import converse, dealt
from vidya.measuring.taught_recall import ENOUGH, Question, Recall, best_f1, measure_recall
from vidya.text.tokenizer import Tokenizer

_KNOWN = ((0.9, "it knows what it was taught"), (0.5, "it knows a part of what it was taught"),
          (-1, "it does not know yet what it was taught"))  # fmt: skip
_IN_OTHER_WORDS = ((0.6, "mostly in other words, too"), (0.3, "at times in other words, too"),
                   (-1, "hardly ever in other words"))  # fmt: skip
_WHEN_ASKED = ((-0.03, "and says it only when asked"), (-0.1, "but says it to some others, too"),
               (-1, "but says it to many others, too"))  # fmt: skip
"""From which share on what is said of it: bars that vidya's own lessons are held to."""
_FORGOTTEN = ((-0.02, "little"), (-0.05, "some"), (-math.inf, "much"))


def _word_for(share: float, words: Sequence[tuple[float, str]]) -> str:
    return next(word for least, word in words if share >= least)


@dataclass(frozen=True)
class Count:
    """How many of some cases are so."""

    hits: int
    of: int

    @property
    def share(self) -> float:
        """From 0 to 1; 0 of none."""
        return self.hits / self.of if self.of else 0.0

    def __str__(self) -> str:
        """`134 of 134`, or `312 of 402 (78%)`: never 100% or 0% of a part."""
        if self.hits in (0, self.of):
            return f"{self.hits:,} of {self.of:,}"
        return f"{self.hits:,} of {self.of:,} ({min(max(self.share, 0.01), 0.99):.0%})"


@dataclass(frozen=True)
class OrdinaryMessages:
    """Messages that ask for nothing taught, and what the base model says to them."""

    messages: Sequence[str]
    before: Sequence[str | None] | None = None
    """The base model's replies where they are taught answers (`taught_answers_to`); None where
    it was not asked."""


@dataclass(frozen=True)
class PersonaScores:
    """What a persona is worth; of 0 where there was nothing to ask."""

    as_taught: Recall
    in_other_words: Count
    in_conversation: Count
    leaks: Count | None
    """None where there are no ordinary messages."""
    leaks_before: Count | None
    """Ordinary messages to which the base model said a taught answer."""

    def lines(self, left_out: str = "") -> list[str]:
        """The scores in words; `left_out` says what the questions asked leave out."""
        known = str(Count(self.as_taught.answered, self.as_taught.questions))
        named = [
            ("asked in other words", self.in_other_words),
            ("asked one after the other", self.in_conversation),
            ("other messages that wrongly get a taught answer", self.leaks),
        ]
        lines = [f"{name}: {count}" for name, count in named if count and count.of]
        if self.as_taught.questions:
            lines.insert(0, f"asked as taught: {known}" + f" ({left_out})" * bool(left_out))
        if self.leaks and self.leaks.of and self.leaks_before and self.leaks_before.hits:
            lines[-1] += f"; {self.leaks_before.hits:,} got one before, too, and do not count"
        return [*lines, self.in_short()] if lines else []

    def in_short(self) -> str:
        """What the scores say of the model, for who has no others to compare them with."""
        asked = self.as_taught.questions
        parts = [_word_for(self.as_taught.answered / asked if asked else 0.0, _KNOWN)]
        if self.in_other_words.of and self.as_taught.answered:
            parts.append(_word_for(self.in_other_words.share, _IN_OTHER_WORDS))
        if self.leaks is not None and self.leaks.of:
            parts.append(_word_for(-self.leaks.share, _WHEN_ASKED))
        return "in short: " + ", ".join(parts)

    def figures(self) -> dict[str, object]:
        """The scores but the first as a log has them: `NAME` of `NAME_asked`, null where None."""
        named = {
            "in_other_words": self.in_other_words,
            "in_conversation": self.in_conversation, "leaks": self.leaks,
            "leaks_before": self.leaks_before,
        }  # fmt: skip
        found: dict[str, object] = {}
        for name, count in named.items():
            found[name] = count and count.hits
            found[f"{name}_asked"] = count and count.of
        return found


def forgetting_line(before: float, now: float) -> str:
    """What bits per byte of held-out text of the base corpus say, in words."""
    rise = now / before - 1
    which = "more" if rise >= 0 else "fewer"
    return (
        f"forgetting, {_word_for(-rise, _FORGOTTEN)}: text of the base corpus takes "
        f"{abs(rise):.1%} {which} bits than before"
    )


def score_persona(
    generator: Generator,
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    *,
    rewordings: Mapping[Question, Sequence[str]] | None = None,
    ordinary: OrdinaryMessages | None = None,
    seed: int = 0,
    interrupted: Callable[[], bool] = lambda: False,
) -> PersonaScores | None:
    """Ask for all that was taught, in every way.

    Args:
        generator: with the weights as they are, and no sequence in it; as many slots as are
            worth it (`reply_generator`) make it quick.
        tokenizer: the model's.
        questions: that the model was taught.
        rewordings: other words for the last message of questions.
        ordinary: messages that ask for nothing taught.
        seed: decides which questions meet in a conversation, and their order there.
        interrupted: looked at between tokens.

    Returns:
        The scores; None when `interrupted` said so.
    """
    as_taught = measure_recall(generator, tokenizer, questions, interrupted=interrupted)
    if as_taught is None:
        return None
    reworded = [
        Question((*question.turns[:-1], text), question.answers)
        for question in questions for text in (rewordings or {}).get(question, ())
    ]  # fmt: skip
    in_other_words = count_answered(generator, tokenizer, reworded, interrupted=interrupted)
    if in_other_words is None:
        return None
    in_conversation = count_in_conversation(
        generator, tokenizer, questions, seed=seed, interrupted=interrupted
    )
    if in_conversation is None:
        return None
    leaks = before = None
    if ordinary is not None:
        answers = [answer for question in questions for answer in question.answers]
        now = taught_answers_to(
            generator, tokenizer, ordinary.messages, answers, interrupted=interrupted
        )
        if now is None:
            return None
        leaks = Count(leaked(now, ordinary.before), len(now))
        if ordinary.before is not None:
            before = Count(sum(one is not None for one in ordinary.before), len(now))
    return PersonaScores(as_taught, in_other_words, in_conversation, leaks, before)


def count_answered(
    generator: Generator,
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    *,
    interrupted: Callable[[], bool] = lambda: False,
) -> Count | None:
    """How many questions, each asked alone, get one of their answers; None if interrupted."""
    replies = answers_given(
        generator, tokenizer, [question.turns for question in questions],
        [question.answers for question in questions], interrupted=interrupted,
    )  # fmt: skip
    if replies is None:
        return None
    return Count(sum(reply is not None for reply in replies), len(replies))


def count_in_conversation(
    generator: Generator,
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    *,
    seed: int = 0,
    interrupted: Callable[[], bool] = lambda: False,
) -> Count | None:
    """How many questions, asked one after the other, get one of their answers.

    Questions that stood later in a taught conversation are not asked: they mean something only
    there. None if interrupted.
    """
    talks = dealt(questions, seed)
    said = converse(generator, tokenizer, talks, interrupted=interrupted)
    if said is None:
        return None
    right = [
        best_f1(reply, question.answers) >= ENOUGH
        for replies, talk in zip(said, talks, strict=True)
        for reply, question in zip(replies, talk, strict=True)
    ]
    return Count(sum(right), len(right))
