"""What repeated passes are worth."""

import pytest

from vidya.planning.repeated_passes import fresh_passes, repeats_line


@pytest.mark.parametrize(
    ("passes", "worth"), [(2, 1.97), (4, 3.73), (8, 6.6), (16, 10.6)]
)  # fmt: skip
def test_the_published_worths(passes, worth):
    assert fresh_passes(passes) == pytest.approx(worth, abs=0.06)


def test_a_part_of_a_pass_is_fresh_text_and_no_number_of_passes_is_worth_more_than_the_law_says():
    assert fresh_passes(0.3) == 0.3 and fresh_passes(1.0) == 1.0
    assert fresh_passes(1e6) == pytest.approx(16.39)


def test_the_line_says_what_repeats_are_worth():
    assert repeats_line(1.0) is None
    assert repeats_line(8.0) == (
        "Repeated text: 8.0 times through the same text teaches as much as 6.6 times as much text "
        "read once (83%)"
    )
