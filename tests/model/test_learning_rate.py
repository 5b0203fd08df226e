"""The learning rate of every step."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidya.errors import UserError
from vidya.model.learning_rate import fit_warmup, learning_rate

rates = st.floats(1e-6, 10.0)


@st.composite
def schedules(draw):
    total = draw(st.integers(1, 2000))
    return {
        "total_steps": total,
        "warmup_steps": draw(st.integers(0, total - 1)),
        "peak": draw(rates),
        "floor": draw(st.floats(0.0, 1.0)),
        "decay": draw(st.sampled_from(["cosine", "linear"])),
    }


def test_a_small_schedule_by_hand():
    options = {"total_steps": 8, "peak": 1.0, "warmup_steps": 4, "floor": 0.0}
    got = [learning_rate(step, **options) for step in range(10)]
    half = math.sqrt(0.5)
    want = [0.2, 0.4, 0.6, 0.8, 1.0, (1 + half) / 2, 0.5, (1 - half) / 2, 0.0, 0.0]
    assert got == pytest.approx(want, abs=1e-15)


def test_a_linear_schedule_by_hand():
    options = {"total_steps": 6, "peak": 1.0, "warmup_steps": 2, "floor": 0.2, "decay": "linear"}
    got = [learning_rate(step, **options) for step in range(8)]
    assert got == pytest.approx([1 / 3, 2 / 3, 1.0, 0.8, 0.6, 0.4, 0.2, 0.2], abs=1e-15)


@given(schedules())
def test_peak_and_floor_are_exact(options):
    peak, floor = options["peak"], options["floor"]
    assert learning_rate(options["warmup_steps"], **options) == peak
    assert learning_rate(options["total_steps"], **options) == peak * floor
    assert learning_rate(options["total_steps"] + 7, **options) == peak * floor


@given(schedules())
def test_rises_to_the_peak_then_falls(options):
    warmup = options["warmup_steps"]
    line = [learning_rate(step, **options) for step in range(options["total_steps"] + 1)]
    assert all(a < b for a, b in itertools.pairwise(line[: warmup + 1]))
    assert all(a >= b for a, b in itertools.pairwise(line[warmup:]))
    assert line[0] > 0
    assert line[-2] > 0, "the last step taken is not wasted"


@given(schedules())
def test_warm_up_is_straight(options):
    warmup = options["warmup_steps"]
    for step in range(warmup + 1):
        expected = options["peak"] * (step + 1) / (warmup + 1)
        assert learning_rate(step, **options) == pytest.approx(expected, rel=1e-14)


def test_without_warm_up_the_first_step_has_the_peak():
    assert learning_rate(0, total_steps=1, peak=3e-4, warmup_steps=0) == 3e-4


@pytest.mark.parametrize(
    ("warmup", "total", "want"),
    [(2000, 600, 60), (100, 3000, 100), (5000, 50_000, 5000), (100, 9, 0), (0, 100, 0), (5, 1, 0)],
)
def test_fit_warmup(warmup, total, want):
    assert fit_warmup(warmup, total) == want


@given(st.integers(0, 10_000), st.integers(1, 10_000))
def test_a_fitted_warm_up_always_fits(warmup, total):
    fitted = fit_warmup(warmup, total)
    assert 0 <= fitted <= min(warmup, total / 10)
    assert learning_rate(fitted, total_steps=total, peak=1.0, warmup_steps=fitted) == 1.0


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"total_steps": 0}, "at least 1 step"),
        ({"peak": 0.0}, "peak"),
        ({"peak": -1e-3}, "peak"),
        ({"peak": math.nan}, "peak"),
        ({"peak": math.inf}, "peak"),
        ({"floor": -0.1}, "floor"),
        ({"floor": 1.1}, "floor"),
        ({"floor": math.nan}, "floor"),
        ({"warmup_steps": 10}, "warm-up"),
        ({"warmup_steps": -1}, "warm-up"),
        ({"step": -1}, "step"),
    ],
)
def test_nonsense_is_refused(change, word):
    good = {"step": 0, "total_steps": 10, "peak": 1e-3, "warmup_steps": 2, "floor": 0.1}
    assert learning_rate(**good) > 0
    with pytest.raises(UserError, match=word):
        learning_rate(**{**good, **change})


@pytest.mark.parametrize(("warmup", "total"), [(-1, 10), (10, 0)])
def test_nonsense_is_refused_by_fit_warmup(warmup, total):
    with pytest.raises(UserError):
        fit_warmup(warmup, total)
