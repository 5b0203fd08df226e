"""Choosing the next token from its logits.

In this order: banned ids go, tokens that came lately are made less likely (repetition
penalty), then temperature, top k, top p, min p; of what is left one is drawn.

`choose` is a function of the logits, the settings and the random stream alone, so the
same seed gives the same tokens on every run and with any number of threads. Sequences
that are generated together have a stream each, numbered: what one draws does not depend
on the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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
    top_p: float = 1.0
    """Draw from the fewest likeliest tokens that have this share of the probability
    together; 1 draws from all."""
    min_p: float = 0.0
    """Draw from tokens that are at least this many times as likely as the likeliest."""
    repetition_penalty: float = 1.0
    """Above 1, tokens that came lately become less likely: a logit above 0 is divided by
    this, one below multiplied (Keskar et al. 2019)."""
    repetition_window: int = 64
    """How many tokens count as lately, the prompt's included; 0 counts all."""

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise UserError(f"temperature must be 0 or more, not {self.temperature}")
        if self.top_k < 0:
            raise UserError(f"top_k must be 0 (all tokens) or more, not {self.top_k}")
        if not 0 <= self.seed <= MAX_SEED:
            raise UserError(f"seed must be between 0 and 2**64 - 1, not {self.seed}")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p must be above 0 and at most 1, not {self.top_p}")
        if not 0 <= self.min_p <= 1:
            raise UserError(f"min_p must be between 0 and 1, not {self.min_p}")
        if not 0 < self.repetition_penalty < math.inf:
            raise UserError(
                f"repetition_penalty must be above 0 (1 penalises nothing), "
                f"not {self.repetition_penalty}"
            )
        if self.repetition_window < 0:
            raise UserError(
                f"repetition_window must be 0 (all tokens) or more, not {self.repetition_window}"
            )

    def rng(self, stream: int = 0) -> np.random.Generator:
        """A fresh random stream that starts at `seed`: the first, or another of its number."""
        key = self.seed if stream == 0 else [self.seed, stream]
        return np.random.Generator(np.random.Philox(key))


def choose(
    logits: NDArray[Any],
    sampling: Sampling,
    rng: np.random.Generator,
    banned: Sequence[int] | NDArray[Any] = (),
    tokens: Sequence[int] = (),
) -> int:
    """Draw a token id.

    Temperature 0 takes the largest logit. Equal logits are told apart by id, the
    lowest first, there and at the edges of top k and top p. Takes one number from `rng`
    per call, none at temperature 0.

    Args:
        logits: [V], float32 or float64; not changed.
        sampling: the settings.
        rng: the random stream.
        banned: ids never to be chosen.
        tokens: the ids so far, for the repetition penalty.

    Raises:
        ValueError: every id is banned.
        UserError: the logits hold NaN or infinity, as those of a diverged model do.
    """
    penalised = sampling.repetition_penalty != 1 and len(tokens) > 0
    if len(banned) or penalised:
        logits = logits.copy()
    if penalised:
        _penalise(logits, sampling, tokens)
    if len(banned):
        logits[banned if isinstance(banned, np.ndarray) else list(banned)] = -np.inf
    best = int(logits.argmax())  # of a NaN, if there is one
    peak = float(logits[best])
    if peak == -math.inf and len(np.unique(np.asarray(banned))) >= len(logits):
        raise ValueError("every token is banned")
    if not math.isfinite(peak):
        raise UserError("the model's output is not a number: its weights are no good, use others")
    if sampling.temperature == 0:
        return best
    ids, shares = _candidates(logits, sampling, peak)
    cumulative = shares.cumsum()
    drawn = cumulative.searchsorted(rng.random() * cumulative[-1], side="right")
    return int(ids[drawn])


def _penalise(logits: NDArray[Any], sampling: Sampling, tokens: Sequence[int]) -> None:
    window = sampling.repetition_window
    lately = np.unique(np.asarray(tokens[-window:]))
    values = logits[lately]
    penalty = sampling.repetition_penalty
    logits[lately] = np.where(values > 0, values / penalty, values * penalty)


def _candidates(
    logits: NDArray[Any], sampling: Sampling, peak: float
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Ids that may be drawn, rising, and how likely each is (not summing to 1)."""
    from vidya import kernels  # not needed to describe sampling: a command is quicker to begin

    if 0 < sampling.top_k < len(logits):
        ids: NDArray[Any] = kernels.top_k(np.ascontiguousarray(logits), sampling.top_k)
        logits = logits[ids]
    else:
        ids = np.arange(len(logits))
    # A tiny temperature sends all but the peak to -infinity, which is what it means.
    with np.errstate(over="ignore"):
        shares = np.exp((logits.astype(np.float64) - peak) / sampling.temperature)
    if sampling.top_p < 1:
        order = np.argsort(-shares, kind="stable")
        sums = shares[order].cumsum()
        count = int(sums.searchsorted(sampling.top_p * sums[-1])) + 1
        kept = np.sort(order[:count])
        ids, shares = ids[kept], shares[kept]
    if sampling.min_p > 0:
        likely = shares >= sampling.min_p  # the likeliest has 1
        ids, shares = ids[likely], shares[likely]
    return ids, shares
