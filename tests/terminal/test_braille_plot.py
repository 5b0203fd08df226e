"""Curves in braille letters."""

import math

from hypothesis import given
from hypothesis import strategies as st

from vidya.terminal.braille_plot import column_means, draw_curve

UNIT = (0.0, 1.0)


def test_a_diagonal():
    assert draw_curve([0, 1], [0, 1], width=2, height=1, x=UNIT, y=UNIT) == ["⡠⠊"]
    assert draw_curve([0, 1], [1, 0], width=2, height=1, x=UNIT, y=UNIT) == ["⠑⢄"]


def test_a_level_line_and_a_point():
    assert draw_curve([0, 1], [0, 0], width=3, height=2, x=UNIT, y=UNIT) == ["⠀⠀⠀", "⣀⣀⣀"]
    assert draw_curve([1], [1], width=2, height=1, x=UNIT, y=UNIT) == ["⠀⠈"]
    assert draw_curve([], [], width=2, height=1, x=UNIT, y=UNIT) == ["⠀⠀"]


def test_steep_lines_have_no_gaps():
    drawn = draw_curve([0, 0.01, 1], [1, 0, 0], width=2, height=3, x=UNIT, y=UNIT)
    assert drawn == ["⡇⠀", "⡇⠀", "⣇⣀"]


def test_what_is_outside_is_cut_off():
    assert draw_curve([0, 1], [-9, 9], width=2, height=1, x=UNIT, y=UNIT) == ["⡠⠊"]


def test_a_range_that_is_a_point():
    assert draw_curve([3], [3], width=1, height=1, x=(3, 3), y=(3, 3)) in (["⠂"], ["⠄"], ["⠐"])


@given(
    st.lists(st.floats(-1e3, 1e3), max_size=50), st.integers(1, 30), st.integers(1, 9),
)  # fmt: skip
def test_it_is_as_large_as_was_asked_for(values, width, height):
    xs = list(range(len(values)))
    drawn = draw_curve(xs, values, width=width, height=height, x=(0, 49), y=(-10, 10))
    assert len(drawn) == height and {len(line) for line in drawn} == {width}
    letters = "".join(drawn)
    assert all(0x2800 <= ord(letter) <= 0x28FF for letter in letters)
    assert bool(values) == any(letter != "⠀" for letter in letters)


def test_means_of_columns():
    xs, ys = [0, 1, 2, 3, 10], [5.0, 7.0, math.nan, 9.0, 1.0]
    assert column_means(xs, ys, 2, (0, 10)) == ([4 / 3, 10], [7.0, 1.0])
    assert column_means([1], [math.inf], 2, (0, 10)) == ([], [])
