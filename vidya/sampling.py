"""Choosing the next token from its logits: temperature, top-k, a seed.

`choose` is a function of the logits, the settings and the random stream alone, so
the same seed gives the same tokens on every run and with any number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidya.errors import UserError

MAX_SEED = 2**64 - 1


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn."""

    temperature: float = 0.7
    """Below 1 likely tokens become likelier; 0 always takes the likeliest. Small models
    ramble at 1 and repeat themselves near 0."""
    top_k: int = 40
    """Draw from this many of the likeliest tokens; 0 draws from all."""
    seed: int = 0
    """Start of the random stream."""

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise UserError(f"temperature must be 0 or more, not {self.temperature}")
        if self.top_k < 0:
            raise UserError(f"top_k must be 0 (all tokens) or more, not {self.top_k}")
        if not 0 <= self.seed <= MAX_SEED:
            raise UserError(f"seed must be between 0 and 2**64 - 1, not {self.seed}")

    def rng(self) -> np.random.Generator:
        """A fresh random stream that starts at `seed`."""
        return np.random.Generator(np.random.Philox(self.seed))


def choose(
    logits: NDArray[Any],
    sampling: Sampling,
    rng: np.random.Generator,
    banned: Collection[int] = (),
) -> int:
    """Draw a token id.

    Temperature 0 takes the largest logit. Equal logits are told apart by id, the
    lowest first, there and at the edge of the top k. Takes one number from `rng`
    per call, none at temperature 0.

    Args:
        logits: [V], float32 or float64; not changed.
        sampling: temperature and top k.
        rng: the random stream.
        banned: ids never to be chosen.

    Raises:
        ValueError: every id is banned.
        UserError: the logits hold NaN or infinity, as those of a diverged model do.
    """
    if banned:
        logits = logits.copy()
        logits[list(banned)] = -np.inf
    best = int(np.argmax(logits))  # of a NaN, if there is one
    peak = float(logits[best])
    if peak == -math.inf and len(set(banned)) >= len(logits):
        raise ValueError("every token is banned")
    if not math.isfinite(peak):
        raise UserError("the model's output is not a number: its weights are no good, use others")
    if sampling.temperature == 0:
        return best
    ids = _most_likely(logits, sampling.top_k)
    # A tiny temperature sends all but the peak to -infinity, which is what it means.
    with np.errstate(over="ignore"):
        scaled = (logits[ids].astype(np.float64) - peak) / sampling.temperature
    cumulative = np.cumsum(np.exp(scaled))
    drawn = np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right")
    return int(ids[drawn])


def _most_likely(logits: NDArray[Any], k: int) -> NDArray[np.intp]:
    """Ids of the k largest logits, rising; all ids for k = 0."""
    if k == 0 or k >= len(logits):
        return np.arange(len(logits))
    edge = np.partition(logits, -k)[-k]
    above = np.flatnonzero(logits > edge)
    level = np.flatnonzero(logits == edge)[: k - len(above)]
    return np.sort(np.concatenate([above, level]))
