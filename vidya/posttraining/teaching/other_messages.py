"""Messages that no lesson is about: where a model is held to what it said before.

They are the beginnings of conversations of the base corpus, at random or near misses: those that
share rare words with a question. What a lesson does to all other talk is decided in the first
tokens of a reply, so a message with the beginning of its reply holds more than a window of text.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vidya.generation.chat_tokens import turn_ids
from vidya.measuring.ordinary_messages import TaughtQuestions, ordinary_exchanges, plain_words
from vidya.posttraining.replay_corpus import ReplayCorpus
from vidya.text.tokenizer import Tokenizer

KNOWN = 1000
"""Beginnings of conversations that are looked at: a bounded sample of the corpus."""
CHECKED = 20
"""Messages that are asked after a lesson."""
ASKS = 0.8
"""A message asks a question from this share of its words on, by their rarity."""
_LONGEST = 40
"""Tokens of a message: longer ones are left out, since a lesson must be quick."""


@dataclass(frozen=True)
class OtherMessage:
    """A message of the corpus with its reply."""

    text: str
    message: tuple[int, ...]
    """As `turn_ids` has it."""
    reply: tuple[int, ...]
    words: frozenset[str]


class OtherMessages:
    """A sample of a corpus, the same in every session."""

    def __init__(self, corpus: ReplayCorpus | None, tokenizer: Tokenizer) -> None:
        self._corpus, self._tokenizer = corpus, tokenizer
        self._asking_of: dict[str, frozenset[int]] = {}

    @functools.cached_property
    def known(self) -> list[OtherMessage]:
        """The sample, read when it is first asked for; empty without a corpus."""
        if self._corpus is None:
            return []
        found = []
        for one in ordinary_exchanges(self._corpus.train, self._tokenizer, KNOWN):
            message = turn_ids(self._tokenizer, one.message)
            if len(message) <= _LONGEST:
                reply = turn_ids(self._tokenizer, one.reply)
                said = frozenset(plain_words(one.message))
                found.append(OtherMessage(one.message, tuple(message), tuple(reply), said))
        return found

    @functools.cached_property
    def _rarity(self) -> dict[str, float]:
        """log(messages / those with the word), by word."""
        counts = Counter(word for one in self.known for word in one.words)
        return {word: math.log(len(self.known) / count) for word, count in counts.items()}

    def apart_from(self, questions: Iterable[str]) -> list[OtherMessage]:
        """Those that ask none of the questions, in whatever words: they have other answers."""
        asking = set[int]().union(*map(self._asking, questions))
        return [one for number, one in enumerate(self.known) if number not in asking]

    def _asking(self, question: str) -> frozenset[int]:
        """Numbers of the messages that ask a question; each lesson asks for those of all before."""
        if question not in self._asking_of:
            taught, wanted = TaughtQuestions([question]), frozenset(plain_words(question))
            rarest = math.log(len(self.known) + 1)
            said = {word: self._rarity.get(word, rarest) for word in wanted}
            enough = ASKS * sum(said.values())
            self._asking_of[question] = frozenset(
                number
                for number, one in enumerate(self.known)
                if (shared := wanted & one.words)
                and (taught.near(one.text) or sum(map(said.__getitem__, shared)) >= enough)
            )
        return self._asking_of[question]

    def nearest(
        self, question: str, some: Sequence[OtherMessage], count: int
    ) -> list[OtherMessage]:
        """Of some messages those that share the most with a question, rare words first."""
        asked = set(plain_words(question))
        rarity = self._rarity
        shared = [
            sum(rarity[word] for word in one.words & asked) / math.sqrt(1 + len(one.words))
            for one in some
        ]
        order = sorted(range(len(some)), key=lambda i: (-shared[i], i))
        return [some[i] for i in order[:count] if shared[i] > 0]

    def to_ask(self, questions: Iterable[str]) -> list[str]:
        """Messages to ask after a lesson, none near the questions.

        They are held-out text, where there is some: a model is not measured by what it was held to.
        """
        if self._corpus is None:
            return []
        documents = self._corpus.held_out or self._corpus.train
        some = ordinary_exchanges(documents, self._tokenizer, CHECKED, taught=questions, seed=1)
        return [one.message for one in some]
