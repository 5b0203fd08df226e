"""What sampling asks of logits: log-sum-exp and the largest."""

from __future__ import annotations

import numpy as np

from vidya.kernels import arguments
from vidya.kernels.arguments import Array
from vidya.kernels.bindings import library, pointer


def log_sum_exp(logits: Array) -> Array:
    """log(sum(exp(row))) of each row of logits [T, V], float64 [T], about 1e-6 exact.

    Not finite where a row holds NaN or +infinity, or nothing but -infinity.
    """
    arguments.require_real("logits", logits, (None, None))
    lse = np.empty(len(logits))
    library(logits.dtype).vidya_log_sum_exp(pointer(lse), pointer(logits), *logits.shape)
    return lse


def top_k(x: Array, k: int) -> Array:
    """Ids [k] (int32) of the k largest of x [n], rising; of equal numbers the lowest ids.

    NaN counts as smaller than everything. ValueError unless 1 <= k <= n.
    """
    arguments.require_real("x", x, (None,))
    if not 1 <= k <= len(x):
        raise ValueError(f"k must be between 1 and {len(x)}, not {k}")
    ids = np.empty(k, np.int32)
    library(x.dtype).vidya_top_k(pointer(ids), pointer(x), len(x), k)
    return ids
