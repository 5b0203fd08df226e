"""The scores of models side by side, as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from vidya.measuring.model_scores import ModelScores
from vidya.terminal.formatting import aligned_rows


def score_table(results: Sequence[ModelScores], width: int) -> list[str]:
    """Lines that show the models as numbered columns, as many beside each other as fit."""
    lines = []
    for number, result in enumerate(results, 1):
        step = "" if result.step is None else f", step {result.step:,}"
        size = f"{result.parameters / 1e6:.1f} M parameters"
        lines.append(f"{number}: {result.checkpoint}, {size}{step}, {result.precision}")
    lines += [f"held-out text: {name}" for name in dict.fromkeys(one.data for one in results)]
    columns = [_column(number, result) for number, result in enumerate(results, 1)]
    widths = [2 + max(len(value) for _, value in column) for column in columns]
    labels = [label for label, _ in columns[0]]
    room = width - max(map(len, labels))
    first = 0
    while first < len(columns):
        last = first + 1
        while last < len(columns) and sum(widths[first : last + 1]) <= room:
            last += 1
        values = [[value for _, value in column] for column in columns[first:last]]
        lines += ["", *aligned_rows([[*row] for row in zip(labels, *values, strict=True)], "")]
        first = last
    return lines


def _column(number: int, result: ModelScores) -> list[tuple[str, str]]:
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
