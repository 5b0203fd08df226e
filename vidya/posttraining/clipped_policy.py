"""Policy gradient that is clipped and held to a base model: of RL, and of lessons."""

from __future__ import annotations

import numpy as np

from vidya.model import objectives
from vidya.model.transformer import Array


class ClippedPolicy:
    """What is minimised, as `Model.objective_and_gradients` takes it: a sum over all tokens,

        sum [ -min(r A, clip(r, 1 - clip, 1 + clip) A) + kl KL(model || base) ]

    with r = p(token now) / p(token when it was drawn) and A the advantage of its reply.

    Attributes:
        divergence: sum of KL(model || base) over the tokens that it was called for.
        clipped: tokens of these that the clipping leaves out.
    """

    def __init__(
        self, targets: Array, old: Array, advantages: Array, reference: Array, *,
        kl: float, clip: float,
    ) -> None:  # fmt: skip
        """All tokens of all replies, in order.

        Args:
            targets: ids [T].
            old: log-probabilities of these when they were drawn, [T].
            advantages: of each token's reply, [T]; what the sum is divided by is in them.
            reference: log-probabilities of the base model, [T, V].
            kl: weight of the divergence; what the sum is divided by is in it.
            clip: how far a ratio of probabilities may go from 1.
        """
        self._targets, self._old, self._reference = targets, old, reference
        self._advantages, self._kl, self._clip = advantages, kl, clip
        self.divergence, self.clipped = 0.0, 0

    def __call__(self, first: int, logits: Array) -> tuple[float, Array]:
        """Value and gradient [R, V] for the logits [R, V] after the first `first` tokens."""
        rows = slice(first, first + len(logits))
        targets, old, advantages = self._targets[rows], self._old[rows], self._advantages[rows]
        logprobs = objectives.log_softmax(logits)
        now = objectives.token_logprobs(logprobs, targets)
        ratio = np.exp(now - old)
        inside = np.clip(ratio, 1 - self._clip, 1 + self._clip)
        gain = float(np.minimum(ratio * advantages, inside * advantages).sum())
        weights = objectives.clipped_weights(now, old, advantages, self._clip)
        _, gradient = objectives.weighted_logprob(logprobs, targets, weights)
        divergence, pull = objectives.kl_divergence(logprobs, self._reference[rows])
        gradient += self._kl * pull
        total = float(divergence.sum())
        self.divergence += total
        self.clipped += int(np.count_nonzero((weights == 0) & (advantages != 0)))
        return -gain + self._kl * total, gradient
