"""A step: gradients of several texts at once, and an update if all is finite.

Each text has an objective and a weight of its own: in fine-tuning and lessons something to
learn, and a window of the base corpus on which the model is held to what the base model says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidya.errors import UserError
from vidya.model.adam import Adam
from vidya.model.transformer import Array, Model, Objective
from vidya.posttraining.answer_batches import joined
from vidya.text.batch_plan import Batch


@dataclass(frozen=True)
class WeightedObjective:
    """Texts, and what is minimised about the rows of logits of their tokens that count."""

    batch: Batch
    weight: float
    objective: Objective


def gradients_of(model: Model, parts: Sequence[WeightedObjective]) -> float:
    """The weighted sum of all parts' objectives; its gradients fill the model's.

    All parts are one batch, end to end.
    """
    return model.objective_and_gradients(
        joined([part.batch for part in parts]), weighted_sum(parts)
    )


def weighted_sum(parts: Sequence[WeightedObjective]) -> Objective:
    """The weighted sum of all parts' objectives, for a batch of all parts end to end.

    Where that takes the model several passes, a part's objective is called with some of its rows
    at a time, and how many came before.
    """
    counts = [int(np.count_nonzero(part.batch.targets >= 0)) for part in parts]
    ends = np.cumsum(counts)

    def objective(first: int, logits: Array) -> tuple[float, Array]:
        total, pulls = 0.0, []
        for part, count, end in zip(parts, counts, ends, strict=True):
            begin = max(first, end - count)
            rows = logits[begin - first : max(begin, end) - first]
            if len(rows):
                value, pull = part.objective(int(begin - (end - count)), rows)
                total += part.weight * value
                pulls.append(part.weight * pull)
        return total, np.concatenate(pulls) if pulls else np.zeros_like(logits)

    return objective


class NotFiniteError(UserError):
    """A loss or a gradient is NaN or infinite; the text says which: "the loss is nan"."""


def update_if_finite(optimizer: Adam, loss: float, rate: float) -> float:
    """Make a step of Adam on the gradients that are there, which are those of `loss`.

    Returns:
        The norm of the gradients, before they were scaled down.

    Raises:
        NotFiniteError: the weights and the optimizer are as they were.
    """
    norm = optimizer.gradient_norm()
    for name, value in (("loss", loss), ("gradient norm", norm)):
        if not math.isfinite(value):
            raise NotFiniteError(f"the {name} is {value}")
    optimizer.update(rate, norm)
    return norm
