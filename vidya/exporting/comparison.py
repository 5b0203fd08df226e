"""How far two models are from each other, told by the probabilities that they give to tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vidya import kernels
from vidya.errors import UserError
from vidya.exporting.targets import ExportPrecision
from vidya.model.parameters import Array
from vidya.model.transformer import Model
from vidya.text.batch_plan import Batch

MOST_APART: dict[ExportPrecision, float] = {"fp32": 1e-4, "bf16": 0.1, "f16": 0.02, "q8_0": 0.1}
"""Mean |Δ log-probability| (nats) that the numbers of a precision account for: a matrix in the
wrong place makes whole nats."""


@dataclass(frozen=True)
class Difference:
    """How far the logits of two models are apart on the same tokens."""

    tokens: int
    largest: float
    """Of |Δ logit|, over the vocabulary too."""
    mean: float
    """|Δ log-probability| in nats of the tokens that follow."""

    def line(self, what: str) -> str:
        """In words: `what` is what was compared with the model."""
        return (
            f"checked     {what}: {self.tokens:,} tokens, mean |Δ log-probability| "
            f"{self.mean:.1g}, largest |Δ logit| {self.largest:.1g}"
        )

    def require_small(self, precision: ExportPrecision, what: str) -> None:
        """`UserError` if it is more than the precision accounts for."""
        if not self.mean <= MOST_APART[precision]:
            raise UserError(
                f"{what} computes something else than the model (mean |Δ log-probability| "
                f"{self.mean:.2g}): nothing was kept; choose another --precision, or report it"
            )


def difference(
    model: Model, rows: Sequence[Sequence[int]], other: Callable[[Sequence[int]], Array]
) -> Difference:
    """Compare a model with another one on rows of token ids.

    Args:
        model: vidya's.
        rows: ids, each of them at most the context long.
        other: gives the logits [T, vocabulary] of a row of T ids.
    """
    largest, total, count = 0.0, 0.0, 0
    for row in rows:
        ours, theirs = own_logits(model, row), other(row)
        largest = max(largest, float(np.abs(ours - theirs).max()))
        total += float(
            np.abs(_log_probabilities(ours, row) - _log_probabilities(theirs, row)).sum()
        )
        count += len(row) - 1
    return Difference(count, largest, total / count)


def own_logits(model: Model, row: Sequence[int]) -> Array:
    """Vidya's logits [T, vocabulary] of a row of T ids."""
    ids = np.array(row, dtype=np.int32)
    return model.logits(Batch(ids, ids, np.array([0, len(ids)], dtype=np.int64)))


def own_log_probabilities(model: Model, row: Sequence[int]) -> Array:
    """Vidya's log-probability (nats) of each id of a row but the first, given those before it."""
    return _log_probabilities(own_logits(model, row), row)


def _log_probabilities(logits: Array, row: Sequence[int]) -> Array:
    """Log-probability of each id of a row but the first, given those before it."""
    before = np.ascontiguousarray(logits[:-1], dtype=np.float32)
    chosen: Array = before[np.arange(len(before)), np.asarray(row[1:])]
    return chosen - kernels.log_sum_exp(before)
