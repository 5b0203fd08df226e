"""What a model is worth in numbers: on held-out text, and by the replies it writes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vidya.generation.decoder import Decoder
from vidya.generation.precision import WeightPrecision
from vidya.generation.replies import MOST_TOGETHER, finished_replies, reply_generator
from vidya.generation.sampling_settings import SamplingSettings
from vidya.measuring.diversity import distinct, repetition, words
from vidya.measuring.held_out_scores import MOST_WINDOWS, HeldOutScores, held_out_scores
from vidya.measuring.held_out_text import HeldOutText
from vidya.storage.pretrained import Pretrained


@dataclass(frozen=True)
class ReplyScores:
    """How varied replies are (vidya/measuring/diversity.py), and how fast they were written."""

    count: int
    empty: int
    """Replies without a word."""
    cut_off: int
    """Replies that had not ended when they had as many tokens as allowed."""
    words: float
    """Mean number of words of a reply."""
    distinct_1: float | None
    distinct_2: float | None
    distinct_3: float | None
    seq_rep_4: float | None
    together: int
    """Replies that were written at one time."""
    tokens_per_s: float
    """Drawn for all of them, over the time for their prompts and for them."""


@dataclass(frozen=True)
class ModelScores:
    """What one model is worth in one precision of its weights."""

    checkpoint: str
    preset: str | None
    step: int | None
    parameters: int
    precision: WeightPrecision
    data: str
    corpus_hash: str
    documents: int
    held_out: HeldOutScores
    tokens_per_s: float
    """Speed of the measurement of the loss."""
    replies: ReplyScores | None
    """None where none were wanted, or the text holds no conversation to reply to."""

    def as_json(self) -> dict[str, Any]:
        """All of it, plain."""
        fields = asdict(self)
        del fields["corpus_hash"]
        measured, replies = fields.pop("held_out"), fields.pop("replies")
        speed = fields.pop("tokens_per_s")
        perplexity = self.held_out.perplexity
        return {
            **fields,
            **measured,
            "perplexity": perplexity if math.isfinite(perplexity) else None,  # JSON has no such
            "tokens_per_s": speed,
            "replies": replies,
        }


def score_model(
    pretrained: Pretrained,
    text: HeldOutText,
    precision: WeightPrecision,
    *,
    sampling: SamplingSettings,
    count: int,
    max_tokens: int,
    on_tokens: Callable[[int], None] = lambda tokens: None,
) -> ModelScores:
    """Measure a model on held-out text, in its own tokens, and by `count` replies.

    They answer the first messages of as many conversations of the text. `on_tokens` is called
    with the number of predictions made since.
    """
    model, tokenizer, meta = pretrained.model, pretrained.tokenizer, pretrained.meta
    decoder = Decoder(model, precision, MOST_WINDOWS)
    start = time.perf_counter()
    measured = held_out_scores(decoder, tokenizer, text, on_tokens=on_tokens)
    seconds = time.perf_counter() - start
    del decoder  # its cache, before another is made
    messages = text.first_messages(tokenizer, count)
    return ModelScores(
        str(pretrained.checkpoint_path), meta.get("preset"), meta.get("step"),
        model.config.parameter_count(), precision, text.name, text.corpus_hash, text.documents,
        measured, measured.tokens / seconds,
        _score_replies(pretrained, messages, precision, sampling, max_tokens) if messages else None,
    )  # fmt: skip


def _score_replies(
    pretrained: Pretrained, messages: Sequence[str], precision: WeightPrecision,
    sampling: SamplingSettings, max_tokens: int,
) -> ReplyScores:  # fmt: skip
    tokenizer = pretrained.tokenizer
    together = min(MOST_TOGETHER, len(messages))
    generator = reply_generator(pretrained.model, tokenizer, together, precision)
    requests = [([message], sampling) for message in messages]
    start = time.perf_counter()
    replies = finished_replies(generator, tokenizer, requests, max_tokens=max_tokens)
    seconds = time.perf_counter() - start
    said = [words(reply.text) for reply in replies]
    return ReplyScores(
        count=len(replies),
        empty=sum(not text for text in said),
        cut_off=sum(reply.end != "turn" for reply in replies),
        words=sum(map(len, said)) / len(said),
        distinct_1=distinct(said, 1),
        distinct_2=distinct(said, 2),
        distinct_3=distinct(said, 3),
        seq_rep_4=repetition(said, 4),
        together=together,
        tokens_per_s=sum(reply.tokens for reply in replies) / seconds,
    )
