"""Tables in plain text: columns as wide as their widest cell."""

from __future__ import annotations


def aligned_rows(rows: list[list[str]], indent: str = "  ") -> list[str]:
    """Rows as lines: the first column to the left, the others to the right of theirs."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append((indent + "  ".join([first.ljust(widths[0]), *cells])).rstrip())
    return lines
