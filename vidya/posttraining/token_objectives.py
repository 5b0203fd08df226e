"""What is minimised about the rows of logits of a batch's tokens that count.

An objective (`vidya.model.transformer.Objective`) is called with all rows or, where a batch
takes several micro-batches, with some at a time and the number of those before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidya.model import objectives
from vidya.model.transformer import Array, Model, Objective
from vidya.text.batch_plan import Batch


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


def divergence_from(expected: Array, ends: Sequence[int] = ()) -> Objective:
    """KL(base || model) in nats, from the base model's log-probabilities: the mean over all rows.

    Args:
        expected: [R, V], of all rows that the objective is called for.
        ends: of runs of rows, in order: the means of all runs are added; none: all are one run.
    """
    lengths = np.diff([0, *ends, len(expected)])
    lengths = lengths[lengths > 0]
    weights = np.repeat(1 / lengths, lengths).astype(expected.dtype)

    def objective(first: int, logits: Array) -> tuple[float, Array]:
        rows = slice(first, first + len(logits))
        divergence, pull = objectives.kl_from(expected[rows], objectives.log_softmax(logits))
        return float(weights[rows] @ divergence), weights[rows, None] * pull

    return objective


@dataclass
class ClippedPolicy:
    """What is minimised, as `Model.objective_and_gradients` takes it: a sum over all tokens,

        sum [ -min(r A, clip(r, 1 - clip, 1 + clip) A) + kl KL(model || base) ]

    with r = p(token now) / p(token when it was drawn) and A the advantage of its reply. The
    tokens are those of all replies, in order.
    """

    targets: Array
    """Ids [T]."""
    old: Array
    """Log-probabilities of these when they were drawn, [T]."""
    advantages: Array
    """Of each token's reply, [T]; what the sum is divided by is in them."""
    reference: Array
    """Log-probabilities of the base model, [T, V]."""
    kl: float
    """Weight of the divergence; what the sum is divided by is in it."""
    clip: float
    """How far a ratio of probabilities may go from 1."""
    divergence: float = 0.0
    """Sum of KL(model || base) over the tokens that it was called for so far."""
    clipped: int = 0
    """Number of tokens of these that the clipping leaves out."""

    def __call__(self, first: int, logits: Array) -> tuple[float, Array]:
        """Value and gradient [R, V] for the logits [R, V] after the first `first` tokens."""
        rows = slice(first, first + len(logits))
        targets, old, advantages = self.targets[rows], self.old[rows], self.advantages[rows]
        logprobs = objectives.log_softmax(logits)
        now = objectives.token_logprobs(logprobs, targets)
        ratio = np.exp(now - old)
        inside = np.clip(ratio, 1 - self.clip, 1 + self.clip)
        gain = float(np.minimum(ratio * advantages, inside * advantages).sum())
        weights = objectives.clipped_weights(now, old, advantages, self.clip)
        _, gradient = objectives.weighted_logprob(logprobs, targets, weights)
        divergence, pull = objectives.kl_divergence(logprobs, self.reference[rows])
        gradient += self.kl * pull
        total = float(divergence.sum())
        self.divergence += total
        self.clipped += int(np.count_nonzero((weights == 0) & (advantages != 0)))
        return -gain + self.kl * total, gradient
