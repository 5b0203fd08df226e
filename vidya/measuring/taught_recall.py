"""How much of what a model was taught it answers as it was taught.

A reply counts as the taught answer when their token F1 is at least `ENOUGH`: the harmonic
mean of the share of the reply's words that are in the answer and of the answer's words
that are in the reply (as in SQuAD, Rajpurkar et al. 2016, but upper and lower case differ, and
marks are words: of their own, so that `hello,` and `hello ,` are the same). In scripts without
spaces each character is a word (vidya/text/words.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from vidya.generation.generator import Generator
from vidya.generation.replies import Turns, finished_replies
from vidya.generation.sampling_settings import SamplingSettings
from vidya.text.conversation_format import turns_of
from vidya.text.normalisation import normalised
from vidya.text.tokenizer import Tokenizer
from vidya.text.words import words

ENOUGH = 0.8
"""Token F1 from which on a reply is the answer that was taught."""
MOST_TOKENS = 200
"""Of a reply to a question, however long the answers to it are."""


@dataclass(frozen=True)
class Question:
    """What a model was taught to answer, and how."""

    turns: tuple[str, ...]
    """What was said so far, the user's words first and last."""
    answers: tuple[str, ...]
    """Any of them is right; one at least."""


@dataclass(frozen=True)
class Recall:
    """How a set of questions was answered."""

    questions: int
    answered: int
    """Whose reply has a token F1 of `ENOUGH` with one of the answers."""
    exact: int
    """Whose reply has the words of one of the answers."""
    f1: float
    """Mean over the questions; 0 without any."""

    @property
    def share(self) -> float:
        """Of the questions that were answered as taught; 0 without any."""
        return self.answered / self.questions if self.questions else 0.0


def token_f1(reply: str, answer: str) -> float:
    """Harmonic mean of precision and recall of the reply's words, 0 to 1; 1 if both are empty."""
    said, wanted = compared_words(reply), compared_words(answer)
    if not said or not wanted:
        return float(said == wanted)
    common = sum((Counter(said) & Counter(wanted)).values())
    return 2 * common / (len(said) + len(wanted))


def compared_words(text: str) -> list[str]:
    """Words in which texts are compared: curly quotes, odd spaces and `…` make no others."""
    return words(text if text.isascii() else normalised(text).replace("…", "..."))


def best_f1(reply: str, answers: Sequence[str]) -> float:
    """`token_f1` with the answer that is nearest."""
    return max(token_f1(reply, answer) for answer in answers)


def questions_of(documents: Iterable[str]) -> list[Question]:
    """The questions of conversations in the corpus form: one for each reply in them.

    Where the same was said before several replies, they are answers to one question.
    Documents that are no conversations have none, nor has a reply to nothing.
    """
    answers: dict[tuple[str, ...], dict[str, None]] = {}
    for document in documents:
        turns = turns_of(document) or []
        for reply in range(1, len(turns), 2):
            if turns[reply] and all(turns[:reply:2]):
                answers.setdefault(tuple(turns[:reply]), {})[turns[reply]] = None
    return [Question(turns, tuple(some)) for turns, some in answers.items()]


def most_tokens(tokenizer: Tokenizer, answers: Sequence[str]) -> int:
    """Tokens after which a reply is none of the answers, or is heard no longer."""
    longest = max((len(tokenizer.encode_text(f" {answer}")) for answer in answers), default=0)
    # a reply of half as many words again has no F1 of 0.8 with an answer any more
    return min(MOST_TOKENS, longest + longest // 2 + 8)


def answer_all(
    generator: Generator,
    tokenizer: Tokenizer,
    questions: Sequence[Turns],
    *,
    max_tokens: int = MOST_TOKENS,
    interrupted: Callable[[], bool] = lambda: False,
) -> list[str] | None:
    """The greedy reply to each question; None when `interrupted` says so between tokens.

    The generator, refreshed after its model's last change, has no sequence in it; it writes as
    many replies at one time as it has slots. A reply is cut off after `max_tokens`.
    """
    greedy = SamplingSettings(temperature=0)
    requests = [(turns, greedy) for turns in questions]
    replies = finished_replies(
        generator, tokenizer, requests, max_tokens=max_tokens, interrupted=interrupted
    )
    ended = all(reply.end in ("turn", "length") for reply in replies)
    return [reply.text for reply in replies] if ended else None


def measure_recall(
    generator: Generator,
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    *,
    interrupted: Callable[[], bool] = lambda: False,
) -> Recall | None:
    """Ask the questions and compare; None when `interrupted` says so meanwhile."""
    answers = [answer for question in questions for answer in question.answers]
    replies = answer_all(
        generator, tokenizer, [question.turns for question in questions],
        max_tokens=most_tokens(tokenizer, answers), interrupted=interrupted,
    )  # fmt: skip
    return None if replies is None else recall_of(replies, questions)


def recall_of(replies: Sequence[str], questions: Sequence[Question]) -> Recall:
    """What the replies, one a question, are worth."""
    pairs = [(reply, q.answers) for reply, q in zip(replies, questions, strict=True)]
    scores = [best_f1(reply, answers) for reply, answers in pairs]
    return Recall(
        questions=len(questions),
        answered=sum(score >= ENOUGH for score in scores),
        exact=sum(
            compared_words(reply) in map(compared_words, answers) for reply, answers in pairs
        ),
        f1=sum(scores) / len(scores) if scores else 0.0,
    )
