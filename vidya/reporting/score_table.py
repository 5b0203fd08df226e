"""The scores of models side by side, as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from vidya.measuring.model_scores import ModelScores
from vidya.terminal.tables import table_lines


def score_table(results: Sequence[ModelScores], width: int | None = None) -> list[str]:
    """Lines that show the models as numbered columns, as many beside each other as fit.

    `width` is that of the table; default: that of the terminal.
    """
    lines = []
    for number, result in enumerate(results, 1):
        step = "" if result.step is None else f", step {result.step:,}"
        size = f"{result.parameters / 1e6:.1f} M parameters"
        lines.append(f"{number}: {result.checkpoint}, {size}{step}, {result.precision}")
    lines += [f"unseen text: {name}" for name in dict.fromkeys(one.data for one in results)]
    columns = [_column(number, result) for number, result in enumerate(results, 1)]
    values = [[value for _, value in column] for column in columns]
    rows = [[label, *row] for (label, _), *row in zip(columns[0], *values, strict=True)]
    return [*lines, "", *table_lines(rows, width=width)]


def _column(number: int, result: ModelScores) -> list[tuple[str, str]]:
    """Labels, which are the same for all, and values."""
    held_out, replies = result.held_out, result.replies

    def of_replies(name: str, form: str) -> str:
        value = None if replies is None else getattr(replies, name)
        return "-" if value is None else format(value, form)

    return [
        ("", str(number)),
        ("documents of unseen text", f"{result.documents:,}"),
        ("tokens of it", f"{held_out.tokens:,}"),
        ("bits per byte, lower is better", f"{held_out.bits_per_byte:.4f}"),
        ("loss a token (nats), lower", f"{held_out.loss:.4f}"),
        ("unsure among (perplexity), lower", f"{held_out.perplexity:.2f}"),
        ("next token right, higher", f"{held_out.accuracy:.1%}"),
        ("tokens read a second", f"{result.tokens_per_s:,.0f}"),
        ("replies written", of_replies("count", ",d")),
        ("empty ones, fewer", of_replies("empty", ",d")),
        ("cut off, fewer", of_replies("cut_off", ",d")),
        ("words in each", of_replies("words", ".1f")),
        ("different words (distinct-1), higher", of_replies("distinct_1", ".3f")),
        ("different pairs (distinct-2), higher", of_replies("distinct_2", ".3f")),
        ("different triples (distinct-3), higher", of_replies("distinct_3", ".3f")),
        ("repeated fours (seq-rep-4), lower", of_replies("seq_rep_4", ".3f")),
        ("tokens written a second", of_replies("tokens_per_s", ",.0f")),
    ]
