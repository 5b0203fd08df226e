"""Ordinary messages: what people say first in a corpus, and what is replied to that.

They show what a model says to people who ask for nothing that it was taught. A message is near a
taught question, and then no ordinary one, where the words of one of them stand in the other, one
after the other and whatever their case and marks: "hello" is near "Hello, can I help you?", and
"who are you" is near "Who?".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from vidya.text.conversation_format import LINE_BREAK
from vidya.text.token_documents import TokenDocuments
from vidya.text.tokenizer import Tokenizer
from vidya.text.words import words


@dataclass(frozen=True)
class Exchange:
    """The beginning of a conversation in a corpus."""

    message: str
    """The user's first turn."""
    reply: str
    """The assistant's first turn."""


def plain_words(text: str) -> tuple[str, ...]:
    """The words of a text in lower case, without its marks."""
    return tuple(word.lower() for word in words(text) if any(map(str.isalnum, word)))


class TaughtQuestions:
    """Questions that a model was taught, to tell which messages are near one of them."""

    def __init__(self, questions: Iterable[str]) -> None:
        found = dict.fromkeys(map(_spaced, questions))
        self._spaced = [spaced for spaced in found if spaced.strip()]

    def near(self, message: str) -> bool:
        """Whether the words of the message stand in a question, or a question's in it."""
        said = _spaced(message)
        return said.strip() != "" and any(said in one or one in said for one in self._spaced)


_CONTRACTED = {"'s": " is", "'m": " am", "'re": " are", "'ll": " will", "n't": " not"}


def _spaced(text: str) -> str:
    """The words with a space on both sides of each, so that one text is found in another.

    English contractions are written out: "what's your name" is near "what is your name".
    """
    spaced = f" {' '.join(plain_words(text))} "
    for short, long in _CONTRACTED.items():
        spaced = spaced.replace(f"{short} ", f"{long} ")
    return spaced


def exchanges(
    documents: TokenDocuments, tokenizer: Tokenizer, seed: int | None = None
) -> Iterator[Exchange]:
    """The beginnings of the conversations of a corpus, each as text.

    Args:
        documents: the corpus; what begins otherwise than with a message and a reply is left out.
        tokenizer: that made its ids.
        seed: decides the order; None: as they stand.
    """
    order = np.arange(documents.documents)
    if seed is not None:
        np.random.Generator(np.random.Philox(key=np.array([seed, 0], np.uint64))).shuffle(order)
    markers = list(tokenizer.special_ids)
    for number in order:
        ids = documents.document(int(number))
        at = np.flatnonzero(np.isin(ids, markers))
        roles = ids[at].tolist()
        if len(at) < 4 or roles[:3] != [
            tokenizer.bos_id,
            tokenizer.user_id,
            tokenizer.assistant_id,
        ]:
            continue
        message, reply = (
            tokenizer.decode(ids[at[turn] + 1 : at[turn + 1]].tolist()).replace(LINE_BREAK, "\n")
            for turn in (1, 2)
        )
        if message.strip() and reply.strip():
            yield Exchange(message.strip(), reply.strip())


def ordinary_exchanges(
    documents: TokenDocuments, tokenizer: Tokenizer, count: int, *,
    taught: Iterable[str] = (), seed: int = 0,
) -> list[Exchange]:  # fmt: skip
    """Beginnings of conversations whose messages are near no taught question, all distinct.

    Two messages are the same if their words are, whatever their case and marks.

    Args:
        documents: the corpus: the part that is held out, to measure on what nobody trained with.
        tokenizer: that made its ids.
        count: how many at most; there are fewer in a small corpus.
        taught: the questions that the model was taught.
        seed: decides which ones, and their order.
    """
    questions = TaughtQuestions(taught)
    found: list[Exchange] = []
    seen: set[tuple[str, ...]] = set()
    for one in exchanges(documents, tokenizer, seed):
        if len(found) == count:
            break
        said = plain_words(one.message)
        if said and said not in seen and not questions.near(one.message):
            found.append(one)
            seen.add(said)
    return found
