"""Taught conversations, varied: the questions in other forms, and other talk before them.

A model that sees one string before an answer learns the string. So a conversation that is taught
comes each time with its questions reworded (vidya/posttraining/rewording/), and now and then after
another taught one, or after an exchange of the base corpus, so that its answer is known whenever
it is asked for. Of the words that are learnt none changes: turns that count stay as they stand.
"""

from __future__ import annotations

import itertools

import numpy as np

from vidya.posttraining.earlier_talk import EarlierTalk, Ids, TaughtExchange
from vidya.posttraining.ordinary_talk import turns_in
from vidya.posttraining.rewording.chance import generator
from vidya.posttraining.rewording.reworder import Reworder
from vidya.text.batch_plan import Batch
from vidya.text.conversation_format import LINE_BREAK
from vidya.text.token_documents import TokenDocuments
from vidya.text.tokenizer import Tokenizer

_TAUGHT = 0.7
"""Of the conversations that come after others, the share that comes after taught ones."""


def taught_exchanges(documents: TokenDocuments, tokenizer: Tokenizer) -> list[TaughtExchange]:
    """The first question and answer of each conversation of which the question does not count."""
    found = []
    for number in range(documents.documents):
        turns = turns_in(documents.document(number), tokenizer)
        if len(turns) >= 2 and all(turns[:2]) and documents.counted is not None:
            at = int(documents.offsets[number]) + 2
            if not documents.counted[at : at + len(turns[0])].any():
                found.append(TaughtExchange(_text(tokenizer, turns[0]), tuple(turns[1])))
    return found


class VariedConversations:
    """Varies the conversations of a batch."""

    def __init__(
        self, tokenizer: Tokenizer, reworder: Reworder, earlier: EarlierTalk, *,
        context: int, seed: int, after_talk: float,
    ) -> None:  # fmt: skip
        """A share of the conversations comes `after_talk`."""
        self._tokenizer, self._reworder, self._earlier = tokenizer, reworder, earlier
        self._context, self._seed, self._after_talk = context, seed, after_talk

    def varied(self, batch: Batch, step: int, much: float = 1.0) -> Batch:
        """The batch of a step with its conversations varied; other windows stay as they are.

        Args:
            batch: of the step.
            step: its number.
            much: as much of the variation as there shall be; 0: none.
        """
        rng = generator(self._seed, 2 * step)
        windows = []
        bounds = batch.offsets.tolist()
        for begin, end in itertools.pairwise(bounds):
            tokens, targets = batch.tokens[begin:end], batch.targets[begin:end]
            windows.append(self._window(tokens.tolist(), targets.tolist(), rng, much))
        return batch_of(windows, self._context)

    def _window(
        self, tokens: list[int], targets: list[int], rng: np.random.Generator, much: float
    ) -> Ids:
        last = targets[-1] if targets[-1] >= 0 else self._tokenizer.bos_id
        whole = Ids([*tokens, last], [False, *(target >= 0 for target in targets)])
        turns = turns_in(np.array(tokens, np.uint16), self._tokenizer)
        if len(turns) < 2 or not turns[0]:
            return whole
        after_talk = much * self._after_talk
        ids = self._earlier.draw(rng, _TAUGHT * after_talk, (1 - _TAUGHT) * after_talk)
        before, at = len(ids.tokens), 1
        for number, turn in enumerate(turns):
            end = at + 1 + len(turn)
            counted = whole.counted[at + 1 : end]
            ids.add([whole.tokens[at]], counted=whole.counted[at])
            if number % 2 == 0 and turn and not any(counted):
                question = _text(self._tokenizer, turn)
                ids.add(self._reworder.ids(question, rng, much))
            else:
                ids.tokens += turn
                ids.counted += counted
            at = end
        ids.tokens += whole.tokens[at:]
        ids.counted += whole.counted[at:]
        too_many = len(ids.tokens) - 1 - self._context
        if too_many > 0 and before > 1:  # what stands before it goes
            ids = Ids(
                [self._tokenizer.bos_id, *ids.tokens[before:]], [False, *ids.counted[before:]]
            )
        return ids if len(ids.tokens) - 1 <= self._context else whole


def batch_of(windows: list[Ids], context: int) -> Batch:
    """Windows laid end to end; each has two ids at least, and one more than the context at most."""
    tokens: list[int] = []
    targets: list[int] = []
    offsets = [0]
    for ids in windows:
        some = ids.tokens[: context + 1]
        tokens += some[:-1]
        targets += [
            token if counts else -1
            for token, counts in zip(some[1:], ids.counted[1:], strict=False)
        ]
        offsets.append(len(tokens))
    return Batch(
        np.array(tokens, np.int32), np.array(targets, np.int32), np.array(offsets, np.int64)
    )


def _text(tokenizer: Tokenizer, ids: list[int]) -> str:
    return tokenizer.decode(ids).replace(LINE_BREAK, "\n").strip()
