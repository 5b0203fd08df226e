"""What fresh parameters are drawn from, and the loss that a model of them begins with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidya.model.config import ModelConfig
from vidya.model.recipes import InitialStds


def initial_std(name: str, stds: InitialStds) -> float:
    """Standard deviation that the fresh matrix called `name` is drawn with."""
    if name == "wte":
        return stds.embedding
    return stds.residual if name.endswith(("attn_out", "ffn_down")) else stds.hidden


def draw_parameters(parameters: Mapping[str, NDArray[Any]], stds: InitialStds, seed: int) -> None:
    """Fill named parameters: matrices normal with `initial_std`, gains 1."""
    rng = np.random.Generator(np.random.Philox(seed))
    for name, values in parameters.items():
        if name.endswith("norm"):
            values[...] = 1
        else:
            drawn = rng.standard_normal(values.shape, np.float32)
            values[...] = drawn * np.float32(initial_std(name, stds))


def expected_first_loss(config: ModelConfig, stds: InitialStds) -> float:
    """Loss of a fresh model in nats per token, roughly.

    The embedding is tied, so the model first predicts its own input. With an embedding of
    standard deviation e the logits of all other tokens are normal with variance e²·d. Each
    block adds to the residual stream, which begins at variance 1, what follows from the stds
    of its matrices; the input is what is left of the direction of the final hidden state, and
    its own logit e·d·cos. The loss is the logarithm of the sum of both, since the target is
    neither.
    """
    d, layers = config.n_embd, config.n_layer
    read, written = stds.hidden**2 * d, stds.residual**2 * d
    nodes, weights = np.polynomial.hermite_e.hermegauss(64)
    u = nodes * math.sqrt(read)
    activated = 0.5 * u * (1 + np.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u**3)))
    ffn = 4 * written * float((weights * activated**2).sum() / weights.sum())
    scores = np.exp(np.random.default_rng(0).standard_normal((200, 64)) * read)
    concentration = (np.cumsum(scores**2, axis=1) / np.cumsum(scores, axis=1) ** 2).mean()
    attention = read * written * float(concentration)
    own = stds.embedding * d / math.sqrt(1 + layers * (ffn + attention))
    others = math.log(config.vocab_size) + stds.embedding**2 * d / 2
    return float(np.logaddexp(own, others))
