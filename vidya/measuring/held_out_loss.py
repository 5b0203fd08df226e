"""Held-out loss by the passes of training: nats per token and bits per byte.

Every evaluation of a training run measures it. The weights as generation has them, in any of
its precisions, are measured by vidya/measuring/held_out_scores.py; in fp32 the two see the
same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from vidya import kernels
from vidya.model.transformer import Model
from vidya.text.batch_plan import eval_batches
from vidya.text.token_documents import TokenDocuments
from vidya.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class HeldOutLoss:
    """The loss on held-out text."""

    loss: float
    """Nats per token."""
    bits_per_byte: float
    """Comparable between tokenizers: bits over the UTF-8 bytes of the predicted text."""
    tokens: int
    """Predictions it was measured on."""

    def in_words(self) -> str:
        """Both figures, and on how much text they were measured: the same words everywhere."""
        beside = f"(loss {self.loss:,.4f}, {self.tokens:,} tokens)"
        return f"{self.bits_per_byte:.4f} bits per byte {beside}"


def held_out_loss(
    model: Model,
    tokenizer: Tokenizer,
    cache: TokenDocuments,
    *,
    max_tokens: int | None = None,
    context: int | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> HeldOutLoss | None:
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
    return HeldOutLoss(nats / tokens, nats / math.log(2) / max(1, text_bytes), tokens)
