"""A batch of documents: its form, its checks, and its cutting into micro-batches.

A batch longer than the model has room for is gone through in several micro-batches whose
gradients are added.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from vidya.model.config import ModelConfig

Array = NDArray[Any]
MICRO_BATCH_TOKENS = 2048
"""Most tokens of a micro-batch (a longer context counts more). What is kept for backward is
then a matter of this size and not of the batch's, and a layer's activations stay in the
last-level cache."""


class Documents(Protocol):
    """Token ids of documents laid end to end (vidya.text.batch_plan.Batch is one)."""

    @property
    def tokens(self) -> Array:
        """Inputs, int32 [T]."""

    @property
    def targets(self) -> Array:
        """What follows each input, int32 [T]; negative: not counted."""

    @property
    def offsets(self) -> Array:
        """Where each document begins, int64 [n_docs + 1], from 0 to T."""


@dataclass(frozen=True)
class _MicroBatch:
    """Some of the documents of a batch."""

    tokens: Array
    targets: Array
    offsets: Array


def micro_batches(batch: Documents, max_tokens: int) -> Iterator[Documents]:
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
            raise ValueError(f"a document is longer than a micro-batch, {max_tokens} tokens")
        yield _MicroBatch(
            batch.tokens[start:end],
            batch.targets[start:end],
            batch.offsets[first : last + 1] - start,
        )
        start, first = end, last


def document_positions(offsets: Array, out: Array) -> None:
    """Fill out [T] with each token's distance from the beginning of its document."""
    T = int(offsets[-1])
    out[:T] = np.arange(T) - np.repeat(offsets[:-1], np.diff(offsets))


def require_document_ids(config: ModelConfig, tokens: Array, offsets: Array) -> None:
    """Raise ValueError for documents that would have a kernel read or write beyond a buffer."""
    _require_ids("tokens", tokens, config.vocab_size, np.int32)
    T = len(tokens)
    if int(tokens.min()) < 0:
        raise ValueError("no token may be negative")
    _require_ids("offsets", offsets, T + 1, np.int64)
    lengths = np.diff(offsets)
    if len(offsets) < 2 or offsets[0] != 0 or offsets[-1] != T or int(lengths.min()) < 0:
        raise ValueError(f"offsets must rise from 0 to {T}")
    if int(lengths.max()) > config.context:
        raise ValueError(f"a document is longer than the context, {config.context}")


def require_batch(config: ModelConfig, batch: Documents) -> None:
    """Raise ValueError for a batch that would have a kernel read or write beyond a buffer."""
    _require_ids("targets", batch.targets, config.vocab_size, np.int32)
    if len(batch.targets) != len(batch.tokens):
        raise ValueError(f"there must be a target for each of the {len(batch.tokens)} tokens")
    require_document_ids(config, batch.tokens, batch.offsets)


def _require_ids(name: str, ids: Array, below: int, dtype: DTypeLike) -> None:
    """Raise unless `ids` is a contiguous, filled vector of `dtype` with values under `below`."""
    # a masked array would hide values from the checks
    plain = type(ids) in (np.ndarray, np.memmap)
    if not plain or ids.dtype != np.dtype(dtype) or ids.ndim != 1 or not ids.flags.c_contiguous:
        raise ValueError(f"{name} must be a contiguous vector of {np.dtype(dtype)}")
    if ids.size == 0 or int(ids.max()) >= below:
        raise ValueError(f"{name} must not be empty, and below {below}")
