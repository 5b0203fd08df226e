"""Held-out loss and next-token accuracy of the weights as generation has them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vidya import kernels
from vidya.errors import UserError
from vidya.generation.decoder import Decoder
from vidya.measuring.held_out_loss import HeldOutLoss
from vidya.text.batch_plan import Batch, eval_batches
from vidya.text.token_documents import TokenDocuments
from vidya.text.tokenizer import Tokenizer

MOST_WINDOWS = 32
"""Slots that a decoder needs at most for the windows of a call: short documents come so many
at a time."""


@dataclass(frozen=True)
class HeldOutScores(HeldOutLoss):
    """The loss on held-out text, and how often the likeliest token is the right one."""

    accuracy: float
    """Share of the predictions whose largest logit is the token that follows."""
    text_bytes: int
    """UTF-8 bytes of the predicted text."""

    @property
    def perplexity(self) -> float:
        """exp(loss): as unsure as an even choice among so many tokens."""
        return math.exp(self.loss) if self.loss < 700 else math.inf


def held_out_scores(
    decoder: Decoder,
    tokenizer: Tokenizer,
    cache: TokenDocuments,
    *,
    on_tokens: Callable[[int], None] = lambda tokens: None,
) -> HeldOutScores:
    """Loss and accuracy over a whole corpus, in the precision of the decoder's weights.

    Documents are cut into the windows of `held_out_loss`, of which a call takes as many as the
    decoder has slots. What those hold is lost. `on_tokens` is called with the number of
    predictions that were made since.

    Raises:
        UserError: no document has two tokens, or the model's weights are no good.
    """
    nats, right, tokens, text_bytes = 0.0, 0, 0, 0
    for batch in eval_batches(cache, decoder.window, decoder.rows):
        for begin, end in _calls(batch, decoder):
            targets = batch.targets[begin:end]
            logits = decoder.run(*_placed(batch, decoder.slots, begin, end), range(end - begin))
            lse = kernels.log_sum_exp(logits)
            nats += float((lse - logits[np.arange(end - begin), targets]).sum())
            right += int(np.count_nonzero(logits.argmax(axis=1) == targets))
            on_tokens(end - begin)
        tokens += len(batch.tokens)
        text_bytes += tokenizer.byte_length(batch.targets)
    if not math.isfinite(nats):
        raise UserError("the model's output is not a number: its weights are no good, use others")
    return HeldOutScores(
        nats / tokens, nats / math.log(2) / max(1, text_bytes), tokens, right / tokens, text_bytes
    )


def _calls(batch: Batch, decoder: Decoder) -> list[tuple[int, int]]:
    """Stretches of a batch that a call takes: as many windows as slots, `rows` tokens."""
    calls = []
    for first in range(0, len(batch.offsets) - 1, decoder.slots):
        last = min(first + decoder.slots, len(batch.offsets) - 1)
        begin, end = int(batch.offsets[first]), int(batch.offsets[last])
        calls += [(at, min(at + decoder.rows, end)) for at in range(begin, end, decoder.rows)]
    return calls


def _placed(
    batch: Batch, slots: int, begin: int, end: int
) -> tuple[list[int], list[int], list[int]]:
    """Tokens, slots and positions of a stretch: window i of the batch lies in slot i % slots."""
    at = np.arange(begin, end)
    windows = np.searchsorted(batch.offsets, at, side="right") - 1
    positions = at - batch.offsets[windows]
    return batch.tokens[begin:end].tolist(), (windows % slots).tolist(), positions.tolist()
