"""Talk that stands before a message: taught exchanges, or one of the base corpus.

An answer that is learnt as the first reply alone is lost a message later. So taught conversations,
and the ordinary messages to which the model is held, come now and then after such talk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidya.posttraining.ordinary_talk import OrdinaryTalk
from vidya.posttraining.rewording.chance import happens, one_of
from vidya.posttraining.rewording.reworder import Reworder
from vidya.text.tokenizer import Tokenizer

_MOST_OF_A_TURN = 16
"""Tokens of a turn of the corpus: what was said long ago matters little."""
_ANOTHER = 0.65
"""Probability that taught talk has one more exchange."""
_MOST = 8
"""Exchanges of taught talk."""


@dataclass(frozen=True)
class TaughtExchange:
    """A taught question and its answer."""

    question: str
    answer: tuple[int, ...]
    """As ids without markers."""


@dataclass
class Ids:
    """Token ids, and which of them count where they are predicted."""

    tokens: list[int]
    counted: list[bool]

    def add(self, ids: Sequence[int], *, counted: bool = False) -> None:
        """Put ids at the end."""
        self.tokens += ids
        self.counted += [counted] * len(ids)


class EarlierTalk:
    """Talk to draw from."""

    def __init__(
        self, taught: Sequence[TaughtExchange], ordinary: OrdinaryTalk | None,
        tokenizer: Tokenizer, reworder: Reworder,
    ) -> None:  # fmt: skip
        """Of taught exchanges and of the corpus; either may be missing."""
        self.taught, self._ordinary = taught, ordinary
        self._tokenizer, self._reworder = tokenizer, reworder

    def draw(self, rng: np.random.Generator, after_taught: float, after_ordinary: float) -> Ids:
        """The bos and, with the two probabilities, some taught exchanges or an ordinary one.

        The answers in taught exchanges count: each is learnt after those before it.
        """
        ids = Ids([self._tokenizer.bos_id], [False])
        if self.taught and happens(rng, after_taught):
            for number in range(_MOST):
                if number and not happens(rng, _ANOTHER):
                    break
                one = one_of(rng, self.taught)
                self._message(ids, self._reworder.ids(one.question, rng))
                ids.add(one.answer, counted=True)
        elif self._ordinary and happens(rng, after_ordinary / max(1e-9, 1 - after_taught)):
            exchange = self._ordinary.exchange(rng)
            self._message(ids, exchange.message[:_MOST_OF_A_TURN])
            ids.add(exchange.reply[:_MOST_OF_A_TURN])
        return ids

    def _message(self, ids: Ids, message: Sequence[int]) -> None:
        ids.add([self._tokenizer.user_id, *message, self._tokenizer.assistant_id])
