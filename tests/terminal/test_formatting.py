"""Figures as a person reads them."""

from vidya.terminal.formatting import plural


def test_a_count_has_its_noun_in_the_right_number():
    assert [plural(count, "lesson") for count in (0, 1, 2, 2000)] == [
        "0 lessons", "1 lesson", "2 lessons", "2,000 lessons",
    ]  # fmt: skip
