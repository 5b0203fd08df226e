"""What models are worth, in numbers: measured by `score`, shown side by side by `tables`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vidya.generation.decoder import Decoder
from vidya.generation.generator import Generator
from vidya.generation.precision import WeightPrecision
from vidya.generation.replies import MOST_TOGETHER, finished_replies
from vidya.generation.sampling_settings import SamplingSettings
from vidya.measuring.diversity import distinct, repetition, words
from vidya.measuring.held_out_loss import MOST_WINDOWS, MeasuredText, measure_text
from vidya.measuring.held_out_text import HeldOutText
from vidya.storage.pretrained import Pretrained

REPEATED = 4
"""n of seq-rep-n."""


@dataclass(frozen=True)
class ReplyScores:
    """How varied replies are (vidya/measuring/diversity.py), and how fast they were written."""

    count: int
    empty: int
    """Replies without a word."""
    cut_off: int
    """Replies that had not ended when they had as many tokens as allowed."""
    words: float
    """Of a reply, in the mean."""
    distinct_1: float | None
    distinct_2: float | None
    distinct_3: float | None
    seq_rep_4: float | None
    together: int
    """Replies that were written at one time."""
    tokens_per_s: float
    """Drawn for all of them, over the time for their prompts and for them."""


@dataclass(frozen=True)
class Scores:
    """One model in one precision."""

    checkpoint: str
    preset: str | None
    step: int | None
    parameters: int
    precision: WeightPrecision
    data: str
    corpus_hash: str
    documents: int
    held_out: MeasuredText
    tokens_per_s: float
    """Of the measurement of the loss."""
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


def score(
    pretrained: Pretrained,
    text: HeldOutText,
    precision: WeightPrecision,
    *,
    sampling: SamplingSettings,
    count: int,
    max_tokens: int,
    on_tokens: Callable[[int], None] = lambda tokens: None,
) -> Scores:
    """Measure a model.

    Args:
        pretrained: the model.
        text: to be predicted, in the model's tokens.
        precision: of the weights.
        sampling: how replies are drawn.
        count: replies, to the first messages of as many conversations of the text.
        max_tokens: of a reply.
        on_tokens: called with the number of predictions made since.
    """
    model, tokenizer, meta = pretrained.model, pretrained.tokenizer, pretrained.meta
    decoder = Decoder(model, precision, MOST_WINDOWS)
    start = time.perf_counter()
    measured = measure_text(decoder, tokenizer, text, on_tokens=on_tokens)
    seconds = time.perf_counter() - start
    del decoder  # its cache, before another is made
    messages = text.first_messages(tokenizer, count)
    return Scores(
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
    generator = Generator(
        pretrained.model, precision, slots=together, turn_starts=[tokenizer.user_id]
    )
    requests = [(message, sampling) for message in messages]
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
        seq_rep_4=repetition(said, REPEATED),
        together=together,
        tokens_per_s=sum(reply.tokens for reply in replies) / seconds,
    )


# ---- the table ---------------------------------------------------------------------------


def tables(results: Sequence[Scores], width: int) -> list[str]:
    """Lines that show the models as numbered columns, as many beside each other as fit."""
    lines = []
    for number, result in enumerate(results, 1):
        step = "" if result.step is None else f", step {result.step:,}"
        lines.append(
            f"{number}: {result.checkpoint}, {result.parameters / 1e6:.1f} M parameters{step}, "
            f"{result.precision}"
        )
    for name in dict.fromkeys(result.data for result in results):
        lines.append(f"held-out text: {name}")
    columns = [_column(number, result) for number, result in enumerate(results, 1)]
    labels = [label for label, _ in columns[0]]
    label_width = max(map(len, labels))
    widths = [max(len(value) for _, value in column) for column in columns]
    first = 0
    while first < len(columns):
        last, taken = first, label_width
        while last < len(columns) and (last == first or taken + 2 + widths[last] <= width):
            taken += 2 + widths[last]
            last += 1
        lines.append("")
        for row, label in enumerate(labels):
            values = (columns[i][row][1].rjust(widths[i] + 2) for i in range(first, last))
            lines.append(label.ljust(label_width) + "".join(values))
        first = last
    return lines


def _column(number: int, result: Scores) -> list[tuple[str, str]]:
    """Labels, which are the same for all, and values."""
    held_out, replies = result.held_out, result.replies

    def of_replies(name: str, form: str) -> str:
        value = None if replies is None else getattr(replies, name)
        return "-" if value is None else format(value, form)

    return [
        ("", str(number)),
        ("documents", f"{result.documents:,}"),
        ("tokens", f"{held_out.tokens:,}"),
        ("loss, nats a token", f"{held_out.loss:.4f}"),
        ("bits per byte", f"{held_out.bits_per_byte:.4f}"),
        ("perplexity", f"{held_out.perplexity:.2f}"),
        ("accuracy", f"{held_out.accuracy:.1%}"),
        ("tokens/s", f"{result.tokens_per_s:,.0f}"),
        ("replies", of_replies("count", ",d")),
        ("  empty", of_replies("empty", ",d")),
        ("  cut off", of_replies("cut_off", ",d")),
        ("  words", of_replies("words", ".1f")),
        ("  distinct-1", of_replies("distinct_1", ".3f")),
        ("  distinct-2", of_replies("distinct_2", ".3f")),
        ("  distinct-3", of_replies("distinct_3", ".3f")),
        ("  seq-rep-4", of_replies("seq_rep_4", ".3f")),
        ("  tokens/s", of_replies("tokens_per_s", ",.0f")),
    ]
