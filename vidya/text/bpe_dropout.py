"""BPE-dropout: the same text in other tokens, some merges being skipped by chance.

Provilkov et al. 2020, "BPE-Dropout: Simple and Effective Subword Regularization": wherever the
merge of the lowest rank would be made next, it is passed over with a probability, until another
merge has been made; the text ends in more, shorter tokens, and reads the same.
"""

from __future__ import annotations

import heapq
import itertools
import json
import weakref
from collections.abc import Iterator

import numpy as np

from vidya.text.tokenizer import Tokenizer


class DroppingEncoder:
    """Encodes plain text with a tokenizer's merges, of which some are skipped. Make it by `of`."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = weakref.ref(tokenizer)
        model = json.loads(tokenizer.json_text)["model"]
        self._ids: dict[str, int] = {token: number for token, number in model["vocab"].items()}
        self._merges: dict[tuple[int, int], tuple[int, int]] = {}
        for rank, merge in enumerate(model["merges"]):
            left, right = merge.split(" ") if isinstance(merge, str) else merge
            pair = self._ids[left], self._ids[right]
            self._merges[pair] = rank, self._ids[left + right]

    @staticmethod
    def of(tokenizer: Tokenizer) -> DroppingEncoder:
        """The one encoder of a tokenizer, made when it is first asked for."""
        if tokenizer not in _known:
            _known[tokenizer] = DroppingEncoder(tokenizer)
        return _known[tokenizer]

    def encode_text(self, text: str, probability: float, rng: np.random.Generator) -> list[int]:
        """Ids of plain text, each merge being skipped with a probability.

        With probability 0 they are those of `Tokenizer.encode_text`, and with 1 the bytes.
        """
        tokenizer = self._tokenizer()
        assert tokenizer is not None
        return [
            number
            for piece in tokenizer.pieces(text)
            for number in self._merged([self._ids[byte] for byte in piece], probability, rng)
        ]

    def _merged(self, ids: list[int], probability: float, rng: np.random.Generator) -> list[int]:
        """The ids of a piece whose bytes are given.

        Tokens are a linked list; a heap has the merges that are possible, by rank and place.
        """
        merges = self._merges
        size = len(ids)
        after = [*range(1, size), -1]
        before = list(range(-1, size - 1))
        alive = [True] * size
        heap = [
            (merges[pair][0], place, pair)
            for place, pair in enumerate(itertools.pairwise(ids))
            if pair in merges
        ]
        heapq.heapify(heap)
        skipped: list[tuple[int, int, tuple[int, int]]] = []
        draw = _draws(rng).__next__
        while heap:
            entry = heapq.heappop(heap)
            _, place, pair = entry
            right = after[place]
            if not alive[place] or right < 0 or (ids[place], ids[right]) != pair:
                continue  # what stood there has been merged with something else
            if probability and draw() < probability:
                skipped.append(entry)
                continue
            for again in skipped:
                heapq.heappush(heap, again)
            skipped.clear()
            ids[place] = merges[pair][1]
            alive[right] = False
            after[place] = after[right]
            if after[right] >= 0:
                before[after[right]] = place
            for start in (before[place], place):
                if start >= 0 and after[start] >= 0:
                    new = ids[start], ids[after[start]]
                    if new in merges:
                        heapq.heappush(heap, (merges[new][0], start, new))
        return [number for number, stays in zip(ids, alive, strict=True) if stays]


_known: weakref.WeakKeyDictionary[Tokenizer, DroppingEncoder] = weakref.WeakKeyDictionary()


def _draws(rng: np.random.Generator) -> Iterator[float]:
    """Doubles in [0, 1) without end, drawn in blocks, which is quicker."""
    while True:
        yield from rng.random(64).tolist()
