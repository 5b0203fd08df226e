"""Models and batches that the tests of the model draw."""

from dataclasses import dataclass

import numpy as np

from vidya.model.transformer import Model


@dataclass(frozen=True)
class Documents:
    """A batch of documents laid end to end."""

    tokens: np.ndarray
    targets: np.ndarray
    offsets: np.ndarray


def draw_batch(rng, vocab_size, lengths, counted=1.0):
    """Documents of these lengths; a share of the targets is not counted."""
    T = sum(lengths)
    tokens, targets = rng.integers(0, vocab_size, (2, T)).astype(np.int32)
    targets[rng.random(T) >= counted] = -1
    return Documents(tokens, targets, np.cumsum([0, *lengths]).astype(np.int64))


def draw_model(config, dtype, seed, max_tokens, precision="fp32"):
    """A model with weights that leave no gradient near zero: gains vary, scales are even."""
    model = Model(config, dtype=dtype, max_tokens=max_tokens, precision=precision)
    model.init(seed)
    rng = np.random.default_rng(seed)
    for name, values in model.parameters.items():
        if name.endswith("norm"):
            values[...] = 1 + 0.3 * rng.standard_normal(values.shape)
    return model
