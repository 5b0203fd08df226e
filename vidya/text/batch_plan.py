"""From the token cache to batches: which tokens a training step sees.

- A document is cut into windows of at most `context` predictions. Consecutive
  windows share one token, so every token after a document's first is predicted
  exactly once and nothing is thrown away.
- A batch is whole windows laid end to end with their offsets: no padding.
- Tokens stay in their file. What memory holds of a corpus is 8 bytes a document, 16 a
  window (start, length, place in the order) and 8 a batch; 16 more a window for a moment,
  when an epoch begins.
- An epoch is a permutation of all windows. What step `n` sees depends on the seed
  and on `n` alone, so that a resumed run needs nothing but its step number.
- The size of a step may change at some step (`StepSize`). The windows that the epoch has not
  seen by then follow in its order, cut anew: none is seen twice or left out.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidya.errors import UserError
from vidya.text.token_documents import TokenDocuments

_DOCUMENTS = 1 << 18
"""Taken at a time where memory would grow with all of them."""


@dataclass(frozen=True)
class Batch:
    """Windows laid end to end."""

    tokens: NDArray[np.int32]
    """[T] inputs."""
    targets: NDArray[np.int32]
    """[T] the token that follows each input; -1 is not counted."""
    offsets: NDArray[np.int64]
    """[windows + 1] where each window starts, and T; nothing is attended across them."""


@dataclass(frozen=True)
class StepSize:
    """How much a step takes, from some step on; one of the two limits is None."""

    first_step: int
    tokens_per_step: int | None
    docs_per_step: int | None

    def cut(self, lengths: NDArray[Any]) -> NDArray[np.int64]:
        """[batches + 1] index of each batch's first window, and the end, of windows in order."""
        if self.tokens_per_step is not None:
            return pack_by_tokens(lengths, self.tokens_per_step)
        return np.append(np.arange(0, len(lengths), self.docs_per_step), len(lengths))

    def most_tokens(self, longest: int) -> int:
        """Predictions in a step at most, where the longest window has so many."""
        if self.tokens_per_step is not None:
            return max(self.tokens_per_step, longest)
        return (self.docs_per_step or 1) * longest


@dataclass(frozen=True)
class Windows:
    """Where each window of a corpus lies in its tokens."""

    starts: NDArray[np.int64]
    """[windows] index of the first input."""
    lengths: NDArray[np.int32]
    """[windows] number of predictions, 1 to context."""


def cut_windows(offsets: NDArray[np.int64], context: int) -> Windows:
    """The windows of documents at `offsets` [documents + 1], in their order.

    Raises:
        UserError: `context` is below 1, or no document has two tokens.
    """
    if context < 1:
        raise UserError(f"context must be at least 1, not {context}")
    if context > np.iinfo(np.int32).max:
        raise UserError(f"context must be below 2**31, not {context}")
    some = [
        _windows_of(offsets[at : at + _DOCUMENTS + 1], context)
        for at in range(0, len(offsets) - 1, _DOCUMENTS)
    ]
    if not any(len(part.lengths) for part in some):
        raise UserError("nothing to predict: no document has two tokens: give the corpus more text")
    return Windows(
        np.concatenate([part.starts for part in some]),
        np.concatenate([part.lengths for part in some]),
    )


def _windows_of(offsets: NDArray[np.int64], context: int) -> Windows:
    """The windows of some documents, of none perhaps."""
    predictions = np.maximum(np.diff(offsets) - 1, 0)
    counts = -(-predictions // context)
    first_window = np.cumsum(counts) - counts
    # Position of each window within its document, in tokens.
    within = (np.arange(counts.sum()) - np.repeat(first_window, counts)) * context
    starts = np.repeat(offsets[:-1], counts) + within
    lengths = np.minimum(np.repeat(predictions, counts) - within, context)
    return Windows(starts, lengths.astype(np.int32))


class BatchPlan:
    """What every training step sees, for a cache, a seed and one limit on the size of a step."""

    def __init__(
        self,
        cache: TokenDocuments,
        context: int,
        *,
        tokens_per_step: int | None = None,
        docs_per_step: int | None = None,
        seed: int = 0,
        changes: Sequence[StepSize] = (),
    ) -> None:
        """Plan steps over all windows of `cache`.

        Args:
            cache: tokens and document offsets.
            context: most predictions in a window.
            tokens_per_step: a step takes whole windows as long as they fit this many
                predictions, and at least one.
            docs_per_step: a step takes this many windows. A document of up to
                `context` predictions is one window; a longer one counts once per window.
            seed: of the order.
            changes: sizes of later steps, in their order.

        Raises:
            UserError: not exactly one limit, a limit below 1, or nothing to predict.
        """
        if (tokens_per_step is None) == (docs_per_step is None):
            raise UserError("give exactly one of tokens per step and documents per step")
        for limit in (tokens_per_step, docs_per_step):
            if limit is not None and limit < 1:
                raise UserError(f"tokens or documents per step must be at least 1, not {limit}")
        self._cache = cache
        self._windows = cut_windows(cache.offsets, context)
        self._sizes = [StepSize(0, tokens_per_step, docs_per_step), *changes]
        self._seed = seed
        self._first_steps = [0]  # of each epoch whose packing is known, and of the next
        self._epoch = -1
        self._order: NDArray[np.uint32] = np.empty(0, np.uint32)
        self._bounds: NDArray[np.int64] = np.empty(0, np.int64)

    @property
    def _always(self) -> int | None:
        """Steps of every epoch, where all of them have as many windows; else None."""
        first, *later = self._sizes
        if later or first.docs_per_step is None:
            return None
        return -(-self.windows_in_epoch // first.docs_per_step)

    @property
    def windows_in_epoch(self) -> int:
        """Windows in a pass over the corpus."""
        return len(self._windows.starts)

    @property
    def tokens_in_epoch(self) -> int:
        """Predictions in a pass over the corpus."""
        return int(self._windows.lengths.sum(dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """Bytes in memory that grow with the corpus: documents, windows, and a pass's order."""
        held = self._cache.offsets, self._windows.starts, self._windows.lengths
        order, bounds = 4 * self.windows_in_epoch, 8 * (self.steps_in_epoch(0) + 1)
        return sum(array.nbytes for array in held) + order + bounds

    @property
    def changed_at(self) -> int:
        """The first step of the size that steps have from then on."""
        return self._sizes[-1].first_step

    @property
    def max_tokens(self) -> int:
        """No batch from step `changed_at` on holds more predictions than this."""
        longest = int(self._windows.lengths.max())
        return min(self._sizes[-1].most_tokens(longest), self.tokens_in_epoch)

    def steps_in_epoch(self, epoch: int) -> int:
        """Steps that pass number `epoch` (from 0) takes; by tokens, passes differ a little."""
        if self._always is not None:
            return self._always
        self._learn_epochs(epoch)
        return self._first_steps[epoch + 1] - self._first_steps[epoch]

    def step_tokens(self, epoch: int = 0) -> NDArray[np.int64]:
        """[steps of the epoch] predictions that each of them makes."""
        self._pack(epoch)
        ends = np.cumsum(self._windows.lengths[self._order])
        return np.diff(ends[self._bounds[1:] - 1], prepend=0)

    def position(self, step: int) -> tuple[int, int]:
        """The epoch that step number `step` (from 0) belongs to, and its index in it."""
        if step < 0:
            raise ValueError(f"step must not be negative: {step}")
        if self._always is not None:
            return divmod(step, self._always)
        while self._first_steps[-1] <= step:
            self._learn_epochs(len(self._first_steps) - 1)
        epoch = bisect.bisect_right(self._first_steps, step) - 1
        return epoch, step - self._first_steps[epoch]

    def batch(self, step: int) -> Batch:
        """What step number `step` (from 0) sees."""
        epoch, index = self.position(step)
        self._pack(epoch)
        chosen = self._order[self._bounds[index] : self._bounds[index + 1]]
        return _gather(self._cache, self._windows, chosen)

    def _learn_epochs(self, epoch: int) -> None:
        """Make `_first_steps` reach past `epoch`."""
        assert self._always is None
        while len(self._first_steps) <= epoch + 1:
            self._pack(len(self._first_steps) - 1)
            self._first_steps.append(self._first_steps[-1] + len(self._bounds) - 1)

    def _pack(self, epoch: int) -> None:
        """Make `_order` and `_bounds` those of `epoch`."""
        if epoch == self._epoch:
            return
        first_step = 0
        if len(self._sizes) > 1:
            if epoch >= len(self._first_steps):
                self._learn_epochs(epoch - 1)
            first_step = self._first_steps[epoch]
        self._order = permutation(self.windows_in_epoch, self._seed, epoch)
        self._bounds = self._cut(self._windows.lengths[self._order], first_step)
        self._epoch = epoch

    def _cut(self, lengths: NDArray[Any], first_step: int) -> NDArray[np.int64]:
        """Where the batches of an epoch begin that itself begins with step `first_step`."""
        later = [size for size in self._sizes if size.first_step > first_step]
        bounds = self._sizes[len(self._sizes) - len(later) - 1].cut(lengths)
        for size in later:
            done = size.first_step - first_step
            if done >= len(bounds) - 1:
                break
            rest = bounds[done] + size.cut(lengths[bounds[done] :])
            bounds = np.concatenate([bounds[:done], rest])
        return bounds


def permutation(count: int, seed: int, stream: int) -> NDArray[np.uint32]:
    """A random order of `count` (below 2**32) things, a function of its arguments alone.

    Drawn from the raw Philox stream, which NumPy promises never to change; its own
    `permutation` may give another order in another version.
    """
    key = np.array([seed % 2**64, stream % 2**64], dtype=np.uint64)
    keys: Any = np.random.Philox(key=key).random_raw(count)
    return np.argsort(keys, kind="stable").astype(np.uint32)


def pack_by_tokens(lengths: NDArray[Any], limit: int) -> NDArray[np.int64]:
    """Cut windows, in the given order, into batches of at most `limit` predictions.

    A batch is closed by the first window that does not fit; a window longer than the
    limit is a batch of its own.

    Returns:
        [batches + 1] int64, the index of each batch's first window, and the end.
    """
    ends = np.cumsum(lengths, dtype=np.int64)
    bounds = [0]
    while (begin := bounds[-1]) < len(lengths):
        before = int(ends[begin - 1]) if begin else 0
        following = int(np.searchsorted(ends[begin:], before + limit, side="right"))
        bounds.append(begin + max(1, following))
    return np.array(bounds, dtype=np.int64)


def eval_batches(
    cache: TokenDocuments, context: int, tokens_per_step: int, max_tokens: int | None = None
) -> Iterator[Batch]:
    """The first windows of a corpus in their order, for a loss that can be compared.

    Args:
        cache: tokens and document offsets.
        context: most predictions in a window.
        tokens_per_step: most predictions in a batch (a longer window goes alone).
        max_tokens: stop before the window that would exceed this many predictions
            in all, but not before the first; None takes everything.

    Raises:
        UserError: nothing to predict, or a limit below 1.
    """
    if tokens_per_step < 1:
        raise UserError(f"tokens per step must be at least 1, not {tokens_per_step}")
    windows = cut_windows(cache.offsets, context)
    count = len(windows.lengths)
    if max_tokens is not None:
        ends = np.cumsum(windows.lengths, dtype=np.int64)
        count = max(1, int(np.searchsorted(ends, max_tokens, side="right")))
    bounds = pack_by_tokens(windows.lengths[:count], tokens_per_step)
    for begin, end in itertools.pairwise(bounds.tolist()):
        yield _gather(cache, windows, np.arange(begin, end))


def _gather(cache: TokenDocuments, windows: Windows, chosen: NDArray[Any]) -> Batch:
    """The batch of the windows numbered by `chosen`."""
    lengths = windows.lengths[chosen]
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
    shift = np.repeat(windows.starts[chosen] - offsets[:-1], lengths)
    index = shift + np.arange(offsets[-1])
    tokens = cache.tokens
    batch = Batch(tokens[index].astype(np.int32), tokens[index + 1].astype(np.int32), offsets)
    if cache.counted is not None:
        batch.targets[~cache.counted[index + 1]] = -1
    cache.release()
    return batch
