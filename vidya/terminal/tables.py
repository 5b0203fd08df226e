"""Tables for a terminal of any width: labels on the left, figures in columns beside them."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

from vidya.terminal.line_breaks import cells, terminal_width

_GAP = 2
"""Columns between two columns of a table."""
_LEAST_LABEL = 14
"""Columns that the labels keep, however many figures stand beside them."""


def table_lines(
    rows: Sequence[Sequence[str]], *, width: int | None = None, indent: str = ""
) -> list[str]:
    """Rows as lines, the first column to the left and the others to the right of theirs.

    Args:
        rows: cells, equally many in each; the first row may be a head.
        width: columns that there are; default: those of standard output, or what it takes.
        indent: before every line.

    Labels that are too long are broken between words. What does not fit beside them then comes
    below, with its labels again.
    """
    width = width or terminal_width(sys.stdout) or sys.maxsize
    room = max(1, width - len(indent))
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    label = min(widths[0], max(_LEAST_LABEL, room - _GAP - sum(widths[1:]) - _GAP * len(widths)))
    lines: list[str] = []
    for first, last in _groups([_GAP + one for one in widths[1:]], room - label):
        some = [[row[0], *row[1 + first : 1 + last]] for row in rows]
        taken = sum(_GAP + one for one in widths[1 + first : 1 + last])
        lines += [""] if lines else []
        lines += _laid_out(some, min(widths[0], room - taken), room)
    return [(indent + line).rstrip() for line in lines]


def _groups(widths: Sequence[int], room: int) -> list[tuple[int, int]]:
    """Stretches of columns, each as long as there is room for and of one at least."""
    groups, first = [], 0
    while first < len(widths):
        last = first + 1
        while last < len(widths) and sum(widths[first : last + 1]) <= room:
            last += 1
        groups.append((first, last))
        first = last
    return groups or [(0, 0)]


def _laid_out(rows: Sequence[Sequence[str]], label: int, room: int) -> list[str]:
    """A table of rich's, as lines."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, _GAP, 0, 0))
    table.add_column(width=max(1, label), overflow="fold")
    for _ in rows[0][1:]:
        table.add_column(justify="right", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    shown = io.StringIO()
    Console(file=shown, width=min(room, 10_000), color_system=None, legacy_windows=False).print(
        table
    )
    return shown.getvalue().splitlines()
