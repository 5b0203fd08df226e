"""What a plan says that one gets, read off the curve of runs that were measured."""

import datetime
from types import SimpleNamespace

import pytest

from vidya.planning.expected_quality import REFERENCE, expected_bits, quality_lines
from vidya.planning.run_plan import RunSchedule


def test_the_curve_is_followed_and_ends_where_it_was_measured():
    for tokens, bits in REFERENCE:
        assert expected_bits(tokens) == pytest.approx(bits)
    between = [expected_bits(tokens) for tokens in (1e3, 2e4, 4e5, 3e6)]
    assert between == sorted(between, reverse=True) and 1.68 < between[-1] < 1.79
    assert expected_bits(REFERENCE[-1][0] + 1) is None


@pytest.mark.parametrize(
    ("tokens", "says"),
    [(1_070_000.0, "about 1.98 bits per byte"), (9e6, "better than 1.68 bits per byte")],
)
def test_minutes_are_answered(tokens, says):
    options = SimpleNamespace(preset="25m", minutes=600.0, steps=None, recipe_name=lambda: "plan")
    run = RunSchedule("as planned", 12345, tokens, 1.0, 36000.0)
    plan = SimpleNamespace(options=options, own_length=lambda: run)
    length, gives, curve = quality_lines(plan, datetime.datetime(2026, 3, 1, 20, 0))
    assert length.startswith("25m, recipe plan, with --minutes 600: 12,345 steps, ")
    assert length.endswith("begun now it is done at 2026-03-02 06:00")
    assert says in gives and "1.1 M 1.98" in curve


def test_text_that_is_repeated_counts_for_less():
    options = SimpleNamespace(preset="10m", minutes=9.0, steps=7, recipe_name=lambda: "fast")

    def gives(passes):
        run = RunSchedule("as planned", 7, 2_670_000.0, passes, 60.0)
        plan = SimpleNamespace(options=options, own_length=lambda: run)
        return quality_lines(plan, datetime.datetime(2026, 3, 1))

    assert "about 1.79 bits per byte" in gives(1.0)[1]
    length, repeats, given, _ = gives(8.0)
    assert length.startswith("10m, recipe fast, with --steps: 7 steps")
    assert repeats.startswith("Repeated text: 8.0 times")
    assert "about 1.82 bits per byte" in given
