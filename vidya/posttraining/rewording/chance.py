"""Drawing by chance, the same on every machine: all draws come from doubles of one generator.

Of NumPy's generators only the doubles are used: how integers and choices are made of the bits has
changed between versions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def happens(rng: np.random.Generator, probability: float) -> bool:
    """True with a probability."""
    return float(rng.random()) < probability


def one_of(rng: np.random.Generator, items: Sequence[T]) -> T:
    """One of some items, all equally likely."""
    return items[int(float(rng.random()) * len(items))]


def weighted(rng: np.random.Generator, items: Sequence[tuple[T, float]]) -> T:
    """One of some items, each with its weight; the weights need not add up to 1."""
    left = float(rng.random()) * sum(weight for _, weight in items)
    for item, weight in items:
        left -= weight
        if left < 0:
            return item
    return items[-1][0]
