"""vidya's training step as something to time, and the arithmetic that it has to do."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

import numpy as np

from vidya import kernels
from vidya.model.adam import Adam
from vidya.model.config import ModelConfig
from vidya.model.presets import preset
from vidya.model.transformer import Model
from vidya.text.batch_plan import Batch

Step = Callable[[], float]
"""Forward, backward, clipping, update; returns the loss."""

DROPOUT = 0.1
SETTLE = 0.02
"""Seconds before a measurement, so that another library's waiting threads go to sleep."""


def config_of(name: str) -> ModelConfig:
    """The preset's architecture with its own vocabulary and dropout."""
    size = preset(name)
    return size.model(256 + 3 + size.merges, DROPOUT)


def documents(config: ModelConfig, tokens: int, length: int | None = None, seed: int = 0) -> Batch:
    """Random ids in documents of `length`, by default the context or one shorter document."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, config.vocab_size, tokens + 1).astype(np.int32)
    length = length or min(tokens, config.context)
    if tokens % length:
        raise SystemExit(f"{tokens} tokens are no multiple of a document's {length}")
    return Batch(ids[:-1].copy(), ids[1:].copy(), np.arange(0, tokens + 1, length, dtype=np.int64))


class Training:
    """A model with its optimizer, making steps over any batch that fits."""

    def __init__(self, config: ModelConfig, max_tokens: int, precision: str = "fp32") -> None:
        self.model = Model(config, max_tokens=max_tokens, precision=precision)
        self.model.init(0)
        self.optimizer = Adam(self.model)

    def step(self, batch: Batch, threads: int) -> float:
        """One training step, clipping at norm 1 included."""
        if kernels.get_num_threads() != threads:
            kernels.set_num_threads(threads)
        loss = self.model.loss_and_gradients(batch, dropout_seed=0, step=self.optimizer.steps)
        self.optimizer.update(1e-4, self.optimizer.gradient_norm())
        return loss


def vidya_step(config: ModelConfig, batch: Batch, threads: int, precision: str = "fp32") -> Step:
    """A training step of vidya over one batch."""
    training = Training(config, len(batch.tokens), precision)
    return functools.partial(training.step, batch, threads)


def step_flops(config: ModelConfig, batch: Batch) -> float:
    """Floating-point operations that a step cannot do without.

    Six for every parameter of a matrix product and token (one product forward, two
    backward; the tied embedding counts as the final projection), and attention over the
    half that the causal mask leaves, two products forward and four backward. What is
    computed again in backward is not counted, for anybody.
    """
    d, T = config.n_embd, len(batch.tokens)
    weights = 12 * d * d * config.n_layer + config.vocab_size * d
    lengths = np.diff(batch.offsets).astype(np.float64)
    pairs = float((lengths * (lengths + 1) / 2).sum())
    return 6.0 * weights * T + 12.0 * config.n_layer * d * pairs


def timed(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
