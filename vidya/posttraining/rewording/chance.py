"""Drawing by chance, the same on every machine: all draws come from doubles of one generator.

Of NumPy's generators only the doubles are used: how integers and choices are made of the bits has
changed between versions.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T")


def generator(seed: int, stream: int) -> np.random.Generator:
    """A generator that is a function of a seed and a number below 2**64 each."""
    key = np.array([seed % 2**64, stream % 2**64], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def happens(rng: np.random.Generator, probability: float) -> bool:
    """True with a probability."""
    return float(rng.random()) < probability


def one_of(rng: np.random.Generator, items: Sequence[T]) -> T:
    """One of some items, all equally likely."""
    return items[int(float(rng.random()) * len(items))]


class Weighted(Generic[T]):
    """Items to draw from, each with its weight; the weights need not add up to 1."""

    def __init__(self, *items: tuple[T, float]) -> None:
        self._items = [item for item, _ in items]
        self._sums = list(itertools.accumulate(weight for _, weight in items))

    def draw(self, rng: np.random.Generator) -> T:
        """One of the items."""
        place = bisect.bisect_right(self._sums, float(rng.random()) * self._sums[-1])
        return self._items[min(place, len(self._items) - 1)]
