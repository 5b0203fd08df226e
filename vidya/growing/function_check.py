"""Whether a bigger model computes what the smaller one does, told by held-out text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vidya.errors import UserError
from vidya.growing.bigger_model import BiggerModel
from vidya.measuring.held_out_loss import HeldOutLoss, held_out_loss
from vidya.measuring.held_out_text import HeldOutTextSource
from vidya.model.transformer import Model
from vidya.storage.pretrained import Pretrained
from vidya.text.token_documents import TokenDocuments, encode_each
from vidya.text.tokenizer import Tokenizer

MOST_RISE = 0.01
"""Part by which the held-out loss may rise; a bigger rise means that the weights are wrong."""


def held_out_documents(small: Pretrained, val: Path | None, most: int) -> TokenDocuments | None:
    """The first documents of `val`, a corpus file, or of what the model's run held out.

    At least one, with at most so many predictions. None if the run's held-out text is not
    beside the model, or of another tokenizer.
    """
    try:
        documents = HeldOutTextSource(val, most).of(small)
    except UserError:
        if val is not None:
            raise
        return None
    fitting = np.searchsorted(documents.predictions_so_far, most, side="right")
    return documents.first(max(1, int(fitting)))


def check_function(bigger: BiggerModel, held_out: TokenDocuments) -> Iterator[str]:
    """Yield lines that tell the loss of both models on documents in the smaller one's tokens.

    Raises:
        UserError: the loss rose though it must not, that is, where the function is the same.
    """
    small, big = bigger.small.model, bigger.model
    old, new = small.config.context, big.config.context
    respelled = held_out
    if not bigger.same_tokenizer:  # the text of a document is what stands between its two bos
        inner = (held_out.document(number)[1:-1] for number in range(held_out.documents))
        texts = (bigger.small.tokenizer.decode(ids.tolist()) for ids in inner)
        respelled = TokenDocuments.joined(list(encode_each(texts, bigger.tokenizer)))
    before = _loss(small, bigger.small.tokenizer, held_out, old)
    after = _loss(big, bigger.tokenizer, respelled, old)
    yield f"held-out    before  {_in_words(before, old, small.precision)}"
    yield f"            after   {_in_words(after, old, big.precision)}"
    if new > old:
        longer = _in_words(_loss(big, bigger.tokenizer, respelled, new), new, big.precision)
        yield f"            after   {longer}: longer than it was trained on"
    if bigger.same_function and not after.loss <= before.loss * (1 + MOST_RISE):
        raise UserError(
            f"the held-out loss rose from {before.loss:.4f} to {after.loss:.4f}, by more than "
            f"{MOST_RISE:.0%}: nothing was written; this is a fault of vidya, please report it"
        )


def _loss(
    model: Model, tokenizer: Tokenizer, held_out: TokenDocuments, context: int
) -> HeldOutLoss:
    loss = held_out_loss(model, tokenizer, held_out, context=context)
    assert loss is not None  # nothing interrupts it
    return loss


def _in_words(held_out: HeldOutLoss, context: int, precision: str) -> str:
    return (
        f"loss {held_out.loss:.6f}, {held_out.bits_per_byte:.6f} bits per byte in {precision} "
        f"({held_out.tokens:,} tokens in windows of {context:,})"
    )
