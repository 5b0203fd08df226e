"""What teaching minimises, as functions of logits: values and gradients, in NumPy.

Rows of logits [R, V] belong to the tokens of answers; answer i has the rows
`starts[i]:starts[i + 1]`. Gradients are derived by hand and compared with PyTorch's in
the tests. Sums and exponentials are in the dtype of the logits.

- log-probability of an answer: the sum over its tokens;
- DPO (Rafailov et al. 2023, "Direct Preference Optimization", eq. 7), a chosen answer
  against each of the others;
- policy gradient (Williams 1992) with advantages, clipped as in PPO (Schulman et al.
  2017, eq. 7) where the policy has moved since the answers were drawn;
- Kullback-Leibler divergence to a reference model, and from it, over the whole vocabulary,
  not an estimate from the tokens that were drawn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def log_softmax(logits: Array) -> Array:
    """Log-probabilities [R, V] of logits [R, V]."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    total = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    result: Array = shifted - total
    return result


def token_logprobs(logprobs: Array, targets: Array) -> Array:
    """[R] of the targets [R], from log-probabilities [R, V]."""
    picked: Array = logprobs[np.arange(len(targets)), targets]
    return picked


def weighted_logprob(logprobs: Array, targets: Array, weights: Array) -> tuple[float, Array]:
    """-sum(weights * logprob of the targets), and its gradient [R, V] for the logits.

    With weights 1 / R that is the mean cross-entropy; negative weights push a token away.
    """
    value = -float(np.dot(weights, token_logprobs(logprobs, targets)))
    gradient = np.exp(logprobs) * weights[:, None]
    gradient[np.arange(len(targets)), targets] -= weights
    return value, gradient


def kl_divergence(logprobs: Array, reference: Array) -> tuple[Array, Array]:
    """KL(model || reference) of each row, [R] nats, and d KL / d logits [R, V].

    Both are given by their log-probabilities [R, V].
    """
    p = np.exp(logprobs)
    ratio = logprobs - reference
    divergence: Array = (p * ratio).sum(axis=1)
    return divergence, p * (ratio - divergence[:, None])


def kl_from(reference: Array, logprobs: Array) -> tuple[Array, Array]:
    """KL(reference || model) of each row, [R] nats, and its gradient [R, V] for the logits.

    What distillation minimises (Hinton et al. 2015), less the reference's entropy. Both
    are given by their log-probabilities [R, V].
    """
    p = np.exp(reference)
    divergence: Array = (p * (reference - logprobs)).sum(axis=1)
    return divergence, np.exp(logprobs) - p


def dpo(policy: Array, reference: Array, beta: float) -> tuple[float, Array]:
    """DPO's loss for a chosen answer against each of the others, and its gradient.

    Mean over the others j of -log sigmoid(beta * ((policy[0] - reference[0]) -
    (policy[j] - reference[j]))).

    Args:
        policy: log-probabilities of the answers, [n], the chosen one first; n at least 2.
        reference: the reference model's.
        beta: how strongly the reference holds; 1 / beta nats are a temperature.

    Returns:
        The loss, and its gradient [n] for `policy`.
    """
    gains = policy - reference
    margins = beta * (gains[0] - gains[1:])
    loss = float(np.logaddexp(0, -margins).mean())
    pull = beta * np.exp(-np.logaddexp(0, margins)) / len(margins)  # sigmoid(-margin), no overflow
    return loss, np.concatenate([[-pull.sum()], pull])


def clipped_weights(logprobs: Array, old: Array, advantages: Array, clip: float) -> Array:
    """Weights [R] for `weighted_logprob` that make its gradient PPO's clipped objective's.

    The objective is the sum of min(r A, clip(r, 1 - clip, 1 + clip) A) with r = exp(logprobs -
    old), whose gradient is r A d logprob, and nothing where the clipped branch is the smaller.

    Args:
        logprobs: of the tokens now, [R].
        old: of the tokens when they were drawn, [R].
        advantages: of each token, [R]; what a token is divided by is in them.
        clip: how far r may go from 1.
    """
    ratio = np.exp(logprobs - old)
    beyond = np.where(advantages > 0, ratio > 1 + clip, ratio < 1 - clip)
    weights: Array = np.where(beyond, 0, ratio * advantages)
    return weights


def group_advantages(rewards: Array, *, scaled: bool = True) -> Array:
    """Rewards [n] of a group less their mean, over their standard deviation if `scaled`.

    Shao et al. 2024 ("DeepSeekMath", group-relative policy optimisation). A group that is
    all alike has nothing to teach: zeros.
    """
    centred: Array = rewards - rewards.mean()
    deviation = float(rewards.std())
    if not scaled:
        return centred
    return centred / deviation if deviation > 1e-8 else np.zeros_like(centred)
