"""Which questions get one of some answers: replies that end as soon as they can be none of them.

A reply is an answer when their token F1 is at least `ENOUGH` (vidya/measuring/taught_recall.py).
With m words in the answer and w words in the reply that are not in it, F1 is 2m / (2m + w) at
most, however the reply goes on: once w > 2m (1 / ENOUGH - 1), half as many as the answer has, the
reply is not that answer. So most replies that are none are told by their first few words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from vidya.generation.generator import Generator
from vidya.generation.replies import Turns, opening, write_replies
from vidya.generation.sampling_settings import SamplingSettings
from vidya.measuring.taught_recall import ENOUGH, best_f1, compared_words, most_tokens
from vidya.text.tokenizer import Tokenizer

GREEDY = SamplingSettings(temperature=0)
"""The most likely token each time: what is measured does not depend on luck."""


class PossibleAnswers:
    """The answers that a reply, as far as it came, can still be."""

    def __init__(self, answers: Sequence[str]) -> None:
        self._left = [Counter(compared_words(answer)) for answer in answers]
        self._looked_at = 0

    def none_left(self, text: str) -> bool:
        """Whether a reply that begins with the text, longer each time, can be none of them."""
        said = compared_words(text)[:-1]  # the last word may grow
        if len(said) > self._looked_at:
            self._looked_at, counted = len(said), Counter(said)
            self._left = [
                answer for answer in self._left
                if (counted - answer).total() <= 2 * answer.total() * (1 / ENOUGH - 1) + 1e-9
            ]  # fmt: skip
        return not self._left


def answers_given(
    generator: Generator,
    tokenizer: Tokenizer,
    conversations: Sequence[Turns],
    answers: Sequence[Sequence[str]],
    *,
    interrupted: Callable[[], bool] = lambda: False,
) -> list[str | None] | None:
    """The greedy reply to each conversation where it is one of its answers, and None elsewhere.

    Args:
        generator: with the weights as they are, and no sequence in it; it writes as many replies
            at one time as it has slots.
        tokenizer: the model's.
        conversations: what was said, the user's words last.
        answers: of each conversation, those that count; one at least.
        interrupted: looked at between tokens.

    Returns:
        The replies; None when `interrupted` said so.
    """
    possible = [PossibleAnswers(some) for some in answers]
    most = most_tokens(tokenizer, [answer for some in answers for answer in some])
    found: list[str | None] = [None] * len(conversations)
    if interrupted():
        return None
    prompts = [opening(generator, tokenizer, turns, most) for turns in conversations]
    writing = write_replies(
        generator, tokenizer, prompts, max_tokens=most, sampling=GREEDY,
        enough=lambda reply: possible[reply.number].none_left(reply.text),
    )  # fmt: skip
    try:
        for reply, _ in writing:
            some = answers[reply.number]
            if reply.end in ("turn", "length") and best_f1(reply.text, some) >= ENOUGH:
                found[reply.number] = reply.text
            if interrupted():
                return None
    finally:
        writing.close()
    return found
