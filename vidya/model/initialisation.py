"""What fresh parameters are drawn from, and the loss that a model of them begins with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidya.model.config import ModelConfig

INIT_STD = 0.08
"""Standard deviation of fresh matrices that do not write into the residual stream."""


def initial_std(name: str, n_layer: int) -> float:
    """Standard deviation of a fresh matrix: 0.08; of residual outputs 0.08/√(2L)."""
    residual = name.endswith(("attn_out", "ffn_down"))
    return INIT_STD / math.sqrt(2 * n_layer) if residual else INIT_STD


def draw_parameters(parameters: Mapping[str, NDArray[Any]], n_layer: int, seed: int) -> None:
    """Fill named parameters: matrices normal with `initial_std`, gains 1."""
    rng = np.random.Generator(np.random.Philox(seed))
    for name, values in parameters.items():
        if name.endswith("norm"):
            values[...] = 1
        else:
            drawn = rng.standard_normal(values.shape, np.float32)
            values[...] = drawn * np.float32(initial_std(name, n_layer))


def expected_first_loss(config: ModelConfig) -> float:
    """Loss of a fresh model in nats per token, roughly.

    The embedding is tied, so the model first predicts its own input. With s² = 0.08²·d the
    logits of all other tokens are normal with variance s². Each block adds to the residual
    stream, which begins at variance 1, what follows from the stds of its matrices; the
    input is what is left of the direction of the final hidden state, and its own logit
    0.08·d·cos. The loss is the logarithm of the sum of both, since the target is neither.
    """
    d, layers = config.n_embd, config.n_layer
    variance = INIT_STD**2 * d
    nodes, weights = np.polynomial.hermite_e.hermegauss(64)
    u = nodes * math.sqrt(variance)
    activated = 0.5 * u * (1 + np.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u**3)))
    ffn = 4 * variance / (2 * layers) * float((weights * activated**2).sum() / weights.sum())
    scores = np.exp(np.random.default_rng(0).standard_normal((200, 64)) * variance)
    concentration = (np.cumsum(scores**2, axis=1) / np.cumsum(scores, axis=1) ** 2).mean()
    attention = variance**2 / (2 * layers) * float(concentration)
    own = INIT_STD * d / math.sqrt(1 + layers * (ffn + attention))
    others = math.log(config.vocab_size) + variance / 2
    return float(np.logaddexp(own, others))
