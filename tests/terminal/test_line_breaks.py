"""Lines that fit the terminal: broken between words, with commands that can be copied."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidya.terminal.line_breaks import cells, next_steps, shortened, wrapped

WORDS = st.lists(st.text("abcé東-/", min_size=1, max_size=12), max_size=12)


@given(WORDS, st.integers(24, 60))
def test_words_stay_whole_and_lines_fit(words, width):
    lines = wrapped(" ".join(words), width).split("\n")
    assert all(cells(line) <= width for line in lines)
    assert [word for line in lines for word in line.split()] == words


@given(st.text("ab/=東", min_size=1, max_size=90), st.integers(2, 20))
def test_a_word_longer_than_a_line_is_cut(word, width):
    lines = wrapped(word, width).split("\n")
    assert all(cells(line) <= width for line in lines)
    assert "".join(line.strip() for line in lines) == word


def test_lines_that_go_on_stand_further_right_and_paths_are_cut_at_slashes():
    assert wrapped("  of /some/folders/and/a/file.txt here", 20) == (
        "  of\n    /some/folders/\n    and/a/file.txt\n    here"
    )


def test_what_fits_stays_as_it_is():
    table = "a          1   2\n\n  b        3   4"
    assert wrapped(table, 16) == table and wrapped(40 * "word ", None) == 40 * "word "


def test_a_text_in_one_line():
    assert shortened("  a → b\n c", 20) == "  a → b c"
    assert shortened("  " + 9 * "word ", 20) == "  word word word …"
    assert shortened(30 * "x", 20) == 18 * "x" + " …"


@pytest.mark.parametrize("width", [20, 40, 100, None])
def test_commands_can_be_copied(width):
    steps = [
        ("talk to it", "python -m vidya.chat runs/nano"),
        ("go on", "python -m vidya.train --resume --out runs/nano --steps 120"),
    ]
    lines = next_steps(steps, width).split("\n")
    assert width is None or all(len(line) <= width for line in lines if "\\" in line)
    if width in (100, None):
        assert [line.split(":") for line in lines] == [
            ["talk to it", "  python -m vidya.chat runs/nano"],
            ["go on", "       python -m vidya.train --resume --out runs/nano --steps 120"],
        ]
    else:
        text = "\n".join(lines)
        for label, command in steps:
            after = text.partition(f"{label}:\n")[2]
            copied = after.replace("\\\n", " ").partition("\n")[0]
            assert shlex.split(copied) == shlex.split(command)
