"""Held-out loss, in nats per token and in bits per byte."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from vidya import kernels
from vidya.batches import Tokens, eval_batches
from vidya.model import Model
from vidya.tokenizer import Tokenizer


@dataclass(frozen=True)
class HeldOut:
    """The loss on held-out text."""

    loss: float
    """Nats per token."""
    bits_per_byte: float
    """Comparable between tokenizers: bits over the UTF-8 bytes of the predicted text."""
    tokens: int
    """Predictions it was measured on."""


def evaluate(
    model: Model,
    tokenizer: Tokenizer,
    cache: Tokens,
    *,
    max_tokens: int | None = None,
    context: int | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> HeldOut | None:
    """The mean loss over the first `max_tokens` predictions of a corpus, without dropout.

    Documents are cut into windows of `context` predictions, by default the model's
    context. Returns None when `interrupted` says so between two batches.
    """
    window = model.config.context if context is None else context
    nats, tokens, text_bytes = 0.0, 0, 0
    for batch in eval_batches(cache, window, model.max_tokens, max_tokens):
        if interrupted():
            return None
        nats += kernels.sum(model.losses(batch))
        tokens += len(batch.tokens)
        text_bytes += tokenizer.byte_length(batch.targets)
    return HeldOut(nats / tokens, nats / math.log(2) / max(1, text_bytes), tokens)
