"""Ordinary talk: what people say to each other in the corpus that a model was trained on.

Fine-tuning and lessons need it twice. What is taught shall be known after other talk, so an
exchange may stand before a taught one; and nobody else shall get a taught answer, so the model is
held to what it said before in reply to ordinary messages. Where a taught answer would leak first
is where a message looks like a taught question, so some of them are drawn from those.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidya.measuring.ordinary_messages import plain_words
from vidya.posttraining.rewording.chance import generator, happens, one_of
from vidya.text.token_documents import TokenDocuments
from vidya.text.tokenizer import Tokenizer

ASKS = 0.8
"""A message asks a taught question from this share of the question's words on, by their rarity:
those that say most decide, so that "and your name, sir?" asks "what is your name?"."""
MOST_EXCHANGES = 20_000
"""Exchanges that are looked at, of documents drawn evenly from the corpus."""
LONGEST_MESSAGE = 24
"""Tokens of a message, of which a first one hardly has more."""
MOST_NEAR = 2_000
"""Exchanges that are kept as those which look like a taught question."""
BEGINS = 0.7
"""Share of the exchanges drawn that begin a conversation: there leaks are seen first."""


@dataclass(frozen=True)
class Exchange:
    """A message of the corpus and the reply to it, as ids without markers."""

    message: tuple[int, ...]
    reply: tuple[int, ...]
    first: bool
    """Whether it begins its conversation."""
    near: int | None = None
    """Number of the taught question that its message looks like; None for any message."""


class OrdinaryTalk:
    """Exchanges of a corpus to draw from."""

    def __init__(
        self, documents: TokenDocuments, tokenizer: Tokenizer, questions: Sequence[str], seed: int
    ) -> None:
        """Look through a part of the corpus.

        Args:
            documents: of the corpus.
            tokenizer: of its ids.
            questions: that are taught. A message that asks one of them is left out.
            seed: decides which part of a large corpus.
        """
        found = list(_some_exchanges(documents, tokenizer, seed))
        said = [plain_words(tokenizer.decode(one.message)) for one in found]
        taught = [plain_words(question) for question in questions]
        self._messages = len(said)
        self._messages_with = Counter(word for words in said for word in set(words))
        asks = self._covered(said, taught) >= ASKS
        kept = np.flatnonzero(~asks).tolist()
        talk: list[Exchange] = [found[number] for number in kept]
        # what asks a taught question is neither held nor put before one
        self.first = [one for one in talk if one.first]
        """Those that begin a conversation."""
        self.later = [one for one in talk if not one.first]
        """The others."""
        nearest = _nearest([said[number] for number in kept], taught, MOST_NEAR)
        self.near: list[Exchange] = [
            dataclasses.replace(talk[one], near=question) for one, question in nearest
        ]
        """Those that are nearest to a taught question, the nearest ones first."""

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.first or self.later)

    def exchange(self, rng: np.random.Generator, *, near: float = 0.0) -> Exchange:
        """One of them: with probability `near` like a taught question, else first or later."""
        if self.near and happens(rng, near):
            return one_of(rng, self.near)
        begins = bool(self.first) and (not self.later or happens(rng, BEGINS))
        return one_of(rng, self.first if begins else self.later)

    def rarity(self, word: str) -> float:
        """How much a word says: log of the messages for one that has it."""
        return float(np.log((self._messages + 1) / (self._messages_with[word] + 1)))

    def _covered(
        self, said: Sequence[Sequence[str]], taught: Sequence[Sequence[str]]
    ) -> NDArray[np.float64]:
        """[messages] largest share of a taught question's words, by rarity, that each one has."""
        number = {word: at for at, word in enumerate(sorted({w for q in taught for w in q}))}
        rarity = np.array([self.rarity(word) for word in number])
        wanted = _rows(taught, number) * rarity
        weight = wanted.sum(axis=1)
        shares = (_rows(said, number) @ wanted[weight > 0].T) / weight[weight > 0]
        covered: NDArray[np.float64] = shares.max(axis=1, initial=0.0)
        return covered


def _some_exchanges(
    documents: TokenDocuments, tokenizer: Tokenizer, seed: int
) -> Iterator[Exchange]:
    """Exchanges with a short message, of documents in an order that the seed decides."""
    rng = generator(seed, 0x7A1C)
    count = 0
    for number in rng.permutation(documents.documents).tolist():
        turns = turns_in(documents.document(number), tokenizer)
        for at in range(0, len(turns) - 1, 2):
            message, reply = turns[at], turns[at + 1]
            if 0 < len(message) <= LONGEST_MESSAGE and reply:
                yield Exchange(tuple(message), tuple(reply), at == 0)
                count += 1
        if count >= MOST_EXCHANGES:
            return


def turns_in(ids: NDArray[np.uint16], tokenizer: Tokenizer) -> list[list[int]]:
    """The turns of a document's ids, the user's first; none if it is no conversation."""
    plain = ids.tolist()
    at = [n for n, i in enumerate(plain) if i in tokenizer.special_ids]
    speakers = [plain[n] for n in at]
    inner = speakers[1:-1] if speakers[-1:] == [tokenizer.bos_id] else speakers[1:]
    expected = [(tokenizer.user_id, tokenizer.assistant_id)[n % 2] for n in range(len(inner))]
    if not inner or inner != expected or at[:2] != [0, 1]:
        return []
    ends = [*at, len(plain)][2 : len(inner) + 2]
    return [plain[begin + 1 : end] for begin, end in zip(at[1:], ends, strict=False)]


def _nearest(
    messages: Sequence[Sequence[str]], questions: Sequence[Sequence[str]], most: int
) -> list[tuple[int, int]]:
    """Numbers of the messages nearest to some question, and of that question, nearest ones first.

    Near is a large Dice coefficient of their words and pairs of neighbouring words, twice the
    share that they have in common. Every question has as many messages, `most` together.
    """
    asked = [_features(question) for question in questions]
    if not messages or not any(asked):
        return []
    number = {feature: at for at, feature in enumerate(sorted(set().union(*asked)))}
    ranked: dict[int, tuple[int, int]] = {}
    found = [_features(message) for message in messages]
    wanted, said = _rows(asked, number), _rows(found, number)
    sizes = np.array([len(features) for features in found], np.float32)
    for row in range(len(asked)):
        dice = 2 * (said @ wanted[row]) / (sizes + len(asked[row]))
        order = np.argsort(-dice, kind="stable")[: -(-most // len(asked))]
        for rank, at in enumerate(order.tolist()):
            if dice[at] > 0:
                ranked[at] = min((rank, row), ranked.get(at, (rank, row)))
    return [(at, ranked[at][1]) for at in sorted(ranked, key=lambda at: (ranked[at], at))[:most]]


def _rows(texts: Sequence[Collection[str]], number: Mapping[str, int]) -> NDArray[np.float32]:
    """[texts, features] 1 where a text has the feature of a number."""
    rows = np.zeros((len(texts), len(number)), np.float32)
    for row, features in enumerate(texts):
        rows[row, [number[one] for one in features if one in number]] = 1
    return rows


def _features(words: Sequence[str]) -> set[str]:
    return {*words, *(" ".join(pair) for pair in itertools.pairwise(words))}
