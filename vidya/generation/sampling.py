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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidya import kernels
from vidya.errors import UserError
from vidya.generation.sampling_settings import SamplingSettings


def choose_token(
    logits: NDArray[Any],
    sampling: SamplingSettings,
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
        lately = np.unique(np.asarray(tokens[-sampling.repetition_window :]))
        values, penalty = logits[lately], sampling.repetition_penalty
        logits[lately] = np.where(values > 0, values / penalty, values * penalty)
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


def _candidates(
    logits: NDArray[Any], sampling: SamplingSettings, peak: float
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Ids that may be drawn, rising, and how likely each is (not summing to 1)."""
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
