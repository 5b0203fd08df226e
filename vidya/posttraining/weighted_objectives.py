"""A gradient step on several texts at once, each with an objective and a weight of its own.

What fine-tuning and lessons have in common: something to learn, and a window of the base
corpus on which the model is held to what the base model says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidya.model import objectives
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

    All parts are one batch. Where that takes the model several passes, a part's objective is
    called with some of its rows at a time, and how many came before.
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

    return model.objective_and_gradients(joined([part.batch for part in parts]), objective)


def mean_cross_entropy(batch: Batch, seen: list[float] | None = None) -> Objective:
    """Mean cross-entropy of the targets that count, in nats.

    Args:
        batch: whose targets are learnt.
        seen: when the objective is called, its value is appended.
    """
    targets = batch.targets[batch.targets >= 0]

    def objective(first: int, logits: Array) -> tuple[float, Array]:
        weights = np.full(len(logits), 1 / len(targets), logits.dtype)
        value, gradient = objectives.weighted_logprob(
            objectives.log_softmax(logits), targets[first : first + len(logits)], weights
        )
        if seen is not None:
            seen.append(value)
        return value, gradient

    return objective


def held_to(base: Model, window: Batch, seen: list[float] | None = None) -> Objective:
    """KL(base || model), the mean over the window's tokens that count, in nats.

    Its gradient is 0 where nothing has changed, so it does not add the noise that the
    cross-entropy of a few tokens has.

    Args:
        base: the model to stay near to, which is run here.
        window: of its corpus.
        seen: when the objective is called, its rows' share of the window's mean
            cross-entropy is appended.
    """
    expected = objectives.log_softmax(base.logits(window))
    targets = window.targets[window.targets >= 0]

    def objective(first: int, logits: Array) -> tuple[float, Array]:
        some = slice(first, first + len(logits))
        logprobs = objectives.log_softmax(logits)
        if seen is not None:
            nats = -float(objectives.token_logprobs(logprobs, targets[some]).sum())
            seen.append(nats / len(targets))
        divergence, pull = objectives.kl_from(expected[some], logprobs)
        return float(divergence.sum()) / len(targets), pull / len(targets)

    return objective
