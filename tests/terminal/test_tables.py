"""Tables that fit: labels broken between words, columns that come below."""

import pytest

from vidya.terminal.tables import table_lines

ROWS = [
    ["memory, in MB", "10m", "25m", "100m"],
    ["weights of the model", "40.1", "134.0", "419.6"],
    ["measured: the longest step of all", "312.0 (99%)", "801.0 (98%)", "2,411.0 (101%)"],
]


@pytest.mark.parametrize("width", [30, 40, 60, 80, 200])
def test_it_fits_and_nothing_is_lost(width):
    lines = table_lines(ROWS, width=width)
    assert all(len(line) <= width for line in lines)
    words = " ".join(lines).split()
    for cell in {cell for row in ROWS for cell in row[1:]}:
        assert words.count(cell.split()[0]) == 1
    assert (len(lines) == len(ROWS)) is (width >= 80)


def test_figures_stand_to_the_right_of_their_column():
    assert table_lines([["", "a"], ["one", "10"], ["two and", "9"]], width=80, indent="> ") == [
        ">           a", "> one      10", "> two and   9",
    ]  # fmt: skip
