"""Choosing tokens: what may be chosen, how often, and that a seed fixes it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vidya.errors import UserError
from vidya.generation.sampling import choose_token
from vidya.generation.sampling_settings import SamplingSettings

logits_of_any_size = arrays(
    np.float32, st.integers(1, 60), elements=st.floats(-30, 30, width=32) | st.sampled_from([0, 1])
)


def draws(logits, sampling, count, banned=()):
    rng = sampling.rng()
    return [choose_token(logits, sampling, rng, banned) for _ in range(count)]


@given(logits_of_any_size, st.sampled_from([0, 1, 5]))
def test_temperature_0_takes_the_largest_logit_and_of_equal_ones_the_lowest_id(logits, top_k):
    largest = min(i for i, x in enumerate(logits) if x == logits.max())
    assert draws(logits, SamplingSettings(temperature=0, top_k=top_k), 2) == [largest, largest]


@given(logits_of_any_size, st.integers(1, 70), st.floats(0.05, 50))
def test_only_the_top_k_are_drawn_and_equal_ones_by_lowest_id(logits, top_k, temperature):
    ranked = sorted(range(len(logits)), key=lambda i: (-logits[i], i))
    assert set(draws(logits, SamplingSettings(temperature, top_k), 40)) <= set(ranked[:top_k])


@given(logits_of_any_size, st.data())
def test_a_banned_id_is_never_drawn(logits, data):
    banned = data.draw(st.sets(st.integers(0, len(logits) - 1), max_size=len(logits) - 1))
    temperature = data.draw(st.sampled_from([0.0, 0.7, 100.0]))
    before = logits.copy()
    drawn = draws(logits, SamplingSettings(temperature, data.draw(st.integers(0, 8))), 20, banned)
    assert not banned & set(drawn)
    np.testing.assert_array_equal(logits, before)


def test_banned_ids_do_not_use_up_the_top_k():
    logits = np.array([9, 8, 7, 0], np.float32)
    assert set(draws(logits, SamplingSettings(50.0, top_k=2), 200, banned=[0])) == {1, 2}


@pytest.mark.parametrize("top_k", [0, 3])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_ids_are_drawn_as_often_as_the_softmax_says(temperature, top_k):
    logits = np.array([0.5, -1.0, 2.0, 1.0, 0.0], np.float32)
    expected = np.exp(logits.astype(np.float64) / temperature)
    if top_k:
        expected[np.argsort(logits)[:-top_k]] = 0
    expected /= expected.sum()
    count = 20_000
    drawn = draws(logits, SamplingSettings(temperature, top_k, seed=3), count)
    seen = np.bincount(drawn, minlength=5) / count
    # five standard deviations of a binomial share
    np.testing.assert_array_less(np.abs(seen - expected), 5 * math.sqrt(0.25 / count))
    assert (seen[expected == 0] == 0).all()


def shares(logits, sampling, tokens=()):
    """How often each id is drawn."""
    rng = sampling.rng()
    drawn = [choose_token(logits, sampling, rng, (), tokens) for _ in range(4000)]
    return np.bincount(drawn, minlength=len(logits)) / 4000


def test_top_p_keeps_the_fewest_likeliest_that_reach_it():
    logits = np.log(np.array([0.1, 0.4, 0.2, 0.3], np.float32))
    expected = {0.3: {1}, 0.399: {1}, 0.5: {1, 3}, 0.701: {1, 2, 3}, 1.0: {0, 1, 2, 3}}
    for top_p, kept in expected.items():
        assert set(draws(logits, SamplingSettings(1.0, 0, top_p=top_p), 400)) == kept


def test_top_p_looks_at_probabilities_after_the_temperature():
    logits = np.log(np.array([0.4, 0.3, 0.3], np.float32))
    assert set(draws(logits, SamplingSettings(0.1, 0, top_p=0.8), 300)) == {0}
    assert set(draws(logits, SamplingSettings(10.0, 0, top_p=0.8), 300)) == {0, 1, 2}


@given(arrays(np.float32, st.integers(1, 40), elements=st.integers(-2, 2)), st.floats(0.01, 1))
def test_top_p_tells_equal_logits_apart_by_id(logits, top_p):
    ranked = sorted(range(len(logits)), key=lambda i: (-logits[i], i))
    drawn = set(draws(logits, SamplingSettings(1.0, 0, top_p=top_p), 40))
    probabilities = np.exp(logits.astype(np.float64) - logits.max())
    probabilities /= probabilities.sum()
    before = np.cumsum([0, *probabilities[ranked]])[:-1]
    assert drawn <= {i for i, sum_ in zip(ranked, before, strict=True) if sum_ < top_p + 1e-9}


def test_min_p_keeps_what_is_likely_beside_the_likeliest():
    logits = np.log(np.array([0.1, 0.5, 0.14, 0.26], np.float32))
    assert set(draws(logits, SamplingSettings(1.0, 0, min_p=0.25), 400)) == {1, 2, 3}
    assert set(draws(logits, SamplingSettings(1.0, 0, min_p=1.0), 50)) == {1}


def test_what_is_left_is_drawn_as_often_as_before_relative_to_each_other():
    logits = np.log(np.array([0.1, 0.5, 0.15, 0.25], np.float32))
    seen = shares(logits, SamplingSettings(1.0, 3, top_p=0.8, min_p=0.2))
    np.testing.assert_allclose(seen, [0, 0.667, 0, 0.333], atol=0.04)


def test_the_repetition_penalty_makes_what_came_lately_less_likely():
    logits = np.array([2.0, -1.0, 0.0, 1.0], np.float32)
    before = logits.copy()
    penalty = SamplingSettings(1.0, 0, repetition_penalty=2.0)
    expected = np.exp([1.0, -2.0, 0.0, 1.0])
    seen = shares(logits, penalty, [0, 1, 0])
    np.testing.assert_allclose(seen, expected / expected.sum(), atol=0.04)
    np.testing.assert_array_equal(logits, before)
    assert (
        choose_token(logits, SamplingSettings(0, repetition_penalty=3.0), penalty.rng(), (), [0])
        == 3
    )


def test_the_repetition_penalty_forgets_what_came_long_ago():
    logits, rng = np.array([2.0, 1.9, 0.0], np.float32), SamplingSettings().rng()
    settings = {"temperature": 0, "repetition_penalty": 5.0}
    tokens = [0, *[2] * 9]
    assert (
        choose_token(logits, SamplingSettings(**settings, repetition_window=9), rng, (), tokens)
        == 0
    )
    assert (
        choose_token(logits, SamplingSettings(**settings, repetition_window=10), rng, (), tokens)
        == 1
    )
    assert (
        choose_token(logits, SamplingSettings(**settings, repetition_window=0), rng, (), tokens)
        == 1
    )


def test_streams_of_a_seed_differ_and_the_first_is_the_seeds_own():
    sampling = SamplingSettings(seed=7)
    firsts = [sampling.rng(i).random() for i in range(20)]
    assert len(set(firsts)) == 20
    assert firsts[0] == sampling.rng().random() == np.random.Generator(np.random.Philox(7)).random()
    assert SamplingSettings(seed=8).rng(1).random() != firsts[1]


def test_a_seed_fixes_the_draws_and_another_changes_them():
    logits = np.zeros(100, np.float32)
    first = draws(logits, SamplingSettings(1.0, 0, seed=1), 50)
    assert draws(logits, SamplingSettings(1.0, 0, seed=1), 50) == first
    assert draws(logits, SamplingSettings(1.0, 0, seed=2), 50) != first


def test_a_tiny_temperature_is_greedy_and_a_huge_one_even():
    logits = np.array([0, 1, 2], np.float32)
    assert draws(logits, SamplingSettings(5e-324, 0), 20) == [2] * 20
    seen = np.bincount(draws(logits, SamplingSettings(1e300, 0), 3000), minlength=3)
    assert seen.min() > 850


def test_minus_infinity_is_a_probability_of_zero():
    logits = np.array([-np.inf, 0, -np.inf, 0], np.float32)
    assert set(draws(logits, SamplingSettings(1.0, 0), 100)) == {1, 3}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_of_a_diverged_model_are_refused(bad, temperature):
    logits = np.array([1, bad, 2], np.float32)
    with pytest.raises(UserError, match="not a number"):
        draws(logits, SamplingSettings(temperature), 1)


def test_all_banned_is_refused():
    with pytest.raises(ValueError, match="banned"):
        draws(np.zeros(3, np.float32), SamplingSettings(), 1, banned=[0, 1, 2])


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -0.1},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"top_k": -1},
        {"seed": -1},
        {"seed": 2**64},
        {"top_p": 0},
        {"top_p": 1.1},
        {"top_p": math.nan},
        {"min_p": -0.1},
        {"min_p": 1.1},
        {"repetition_penalty": 0},
        {"repetition_penalty": math.inf},
        {"repetition_window": -1},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        SamplingSettings(**wrong)
