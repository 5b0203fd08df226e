"""Curves drawn in a terminal with the dots of braille letters: two wide and four high each."""

from __future__ import annotations

import math
from collections.abc import Sequence

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by row and column
_BLANK = 0x2800
EMPTY = chr(_BLANK)
"""The letter of a place without a dot."""
Range = tuple[float, float]


def column_means(
    xs: Sequence[float], ys: Sequence[float], columns: int, x: Range
) -> tuple[list[float], list[float]]:
    """The means of what falls into each of `columns` stretches of `x`, and where they stand.

    Values that are not finite are left out, and so is a stretch without any.
    """
    sums: dict[int, tuple[float, float, int]] = {}
    for at, value in zip(xs, ys, strict=True):
        if math.isfinite(value):
            column = _place(at, x, columns)
            where, total, count = sums.get(column, (0.0, 0.0, 0))
            sums[column] = where + at, total + value, count + 1
    means = sorted((where / count, total / count) for where, total, count in sums.values())
    return [where for where, _ in means], [mean for _, mean in means]


def draw_curve(
    xs: Sequence[float], ys: Sequence[float], *, width: int, height: int, x: Range, y: Range
) -> list[str]:
    """A line through points, as `height` lines of `width` letters.

    Args:
        xs: where the values stand, ascending.
        ys: the values, finite.
        width: letters in a line.
        height: lines.
        x: what the left and the right edge stand for.
        y: what the lower and the upper edge stand for; the curve is cut off there.
    """
    columns, rows = 2 * width, 4 * height
    dots = [
        (_place(at, x, columns), rows - 1 - _place(value, y, rows))
        for at, value in zip(xs, ys, strict=True)
    ]
    letters = [[0] * width for _ in range(height)]
    for start, end in zip(dots[:1] + dots[:-1], dots, strict=True):
        for column, row in _line(start, end):
            letters[row // 4][column // 2] |= _DOTS[row % 4][column % 2]
    return ["".join(chr(_BLANK + letter) for letter in line) for line in letters]


def _place(value: float, between: Range, count: int) -> int:
    """Which of `count` dots a value falls on; the last ones for what is outside."""
    low, high = between
    part = (value - low) / (high - low) if high > low else 0.5
    return round(min(1.0, max(0.0, part)) * (count - 1))


def _line(start: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
    """The dots from one to another, without gaps."""
    across, down = end[0] - start[0], end[1] - start[1]
    length = max(abs(across), abs(down), 1)
    return [
        (start[0] + round(across * i / length), start[1] + round(down * i / length))
        for i in range(length + 1)
    ]
