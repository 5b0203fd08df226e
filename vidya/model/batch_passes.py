"""A batch of documents, and the passes that the model takes over it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Documents(Protocol):
    """Token ids of documents laid end to end (vidya.batches.Batch is one)."""

    @property
    def tokens(self) -> Array:
        """Inputs, int32 [T]."""

    @property
    def targets(self) -> Array:
        """What follows each input, int32 [T]; negative: not counted."""

    @property
    def offsets(self) -> Array:
        """Where each document begins, int64 [n_docs + 1], from 0 to T."""


def document_positions(offsets: Array, out: Array) -> None:
    """Fill out [T] with each token's distance from the beginning of its document."""
    lengths = np.diff(offsets)
    T = int(offsets[-1])
    out[:T] = np.arange(T) - np.repeat(offsets[:-1], lengths)


@dataclass(frozen=True)
class _Part:
    """Some of the documents of a batch."""

    tokens: Array
    targets: Array
    offsets: Array


def passes(batch: Documents, max_tokens: int) -> Iterator[Documents]:
    """Cut a batch into runs of whole documents of at most `max_tokens` tokens each.

    The runs are about even: each takes documents until it has its share of what is left,
    as far as they fit.

    Raises:
        ValueError: a document is longer.
    """
    ends = batch.offsets[1:]
    start, first, T = 0, 0, int(batch.offsets[-1])
    if T <= max_tokens:
        yield batch
        return
    while start < T:
        left = T - start
        share = left / -(-left // max_tokens)
        fits = int(np.searchsorted(ends, start + max_tokens, side="right"))
        near = int(np.searchsorted(ends, start + share - 0.5, side="left")) + 1
        last = min(fits, max(near, first + 1))
        end = int(ends[last - 1]) if last > first else start
        if end == start:
            raise ValueError(f"a document is longer than a pass, {max_tokens} tokens")
        yield _Part(
            batch.tokens[start:end],
            batch.targets[start:end],
            batch.offsets[first : last + 1] - start,
        )
        start, first = end, last
