"""What a run's steps take, and how many fit the time given for it."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidya.text.batch_plan import BatchPlan
from vidya.text.token_documents import TokenDocuments
from vidya.training import run_length
from vidya.training.run_length import measure_length, measure_speed

pytestmark = [pytest.mark.either_precision, pytest.mark.usefixtures("kernel_settings")]


def chosen_length(made, monkeypatch, seconds, **changes):
    """What `measure_length` chooses on a machine whose every step takes so many seconds."""
    made.options = dataclasses.replace(made.options, **changes)
    now, steps_made = [0.0], []

    def slow(batch, **_):
        now[0] += seconds
        steps_made.append(len(batch.tokens))
        return 1.0

    monkeypatch.setattr(made.model, "loss_and_gradients", slow)
    monkeypatch.setattr(made.optimizer, "gradient_norm", lambda: 1.0)
    monkeypatch.setattr(made.optimizer, "update", lambda rate, norm: None)
    monkeypatch.setattr(run_length.time, "perf_counter", lambda: now[0])
    before = made.model.flat.copy()
    steps, measured = measure_length(made)
    assert measured == pytest.approx(seconds) and len(steps_made) >= 3
    assert np.array_equal(made.model.flat, before) and made.optimizer.steps == 0
    return steps


def test_minutes_bound_the_length(new_run, monkeypatch):
    """600 seconds at 0.5 s a step, without what eleven evaluations take."""
    made = new_run()
    held_out = len(made.corpora.held_out.tokens)
    evaluation = 0.5 * held_out / made.plan.max_tokens / 3
    expected = int((600 - 11 * evaluation) / 0.5)
    assert expected < 1200
    steps = chosen_length(made, monkeypatch, 0.5, minutes=10.0, passes=1000.0)
    assert steps == pytest.approx(expected, abs=1)


def test_a_big_held_out_corpus_costs_no_more_than_eval_tokens(new_run, monkeypatch):
    made = new_run(eval_tokens=64)
    expected = int((600 - 11 * 0.5 * 64 / made.plan.max_tokens / 3) / 0.5)
    steps = chosen_length(made, monkeypatch, 0.5, minutes=10.0, passes=1000.0)
    assert steps == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("passes", [0.5, 1.0, 2.5])
def test_passes_bound_the_length(new_run, monkeypatch, passes):
    made = new_run()
    an_epoch = made.plan.steps_in_epoch(0)
    steps = chosen_length(made, monkeypatch, 0.01, minutes=1e6, passes=passes)
    assert steps == pytest.approx(passes * an_epoch, rel=0.05)


def test_at_least_one_step(new_run, monkeypatch):
    assert chosen_length(new_run(), monkeypatch, 3.0, minutes=0.001) == 1


def test_measuring_leaves_the_run_as_it_is(new_run):
    made = new_run()
    before = made.model.flat.copy()
    found = measure_speed(made, 0.05)
    assert found.timed >= 5 and found.seconds > 0
    assert np.array_equal(made.model.flat, before)
    assert made.optimizer.steps == 0 and not made.optimizer.m.any() and not made.optimizer.v.any()
    made.optimizer.steps = 1
    with pytest.raises(ValueError, match="has begun"):
        measure_speed(made, 0.05)


# ---------------------------------------------------------------- the mean time of a step


def documents(lengths):
    """Documents of so many predictions each."""
    return TokenDocuments.joined([np.zeros(length + 1, np.uint16) for length in lengths])


@pytest.fixture
def skewed():
    """Documents as uneven as conversations are."""
    lengths = 1 + np.random.default_rng(0).exponential(60, 3000).astype(int)
    return BatchPlan(documents(lengths), 256, docs_per_step=1)


@given(st.lists(st.integers(1, 600), min_size=1, max_size=80), st.integers(1, 100))
def test_step_tokens_are_those_of_the_batches(lengths, limit):
    for how in ({"tokens_per_step": limit}, {"docs_per_step": 1 + limit // 20}):
        plan = BatchPlan(documents(lengths), 256, **how)
        for epoch in (0, 1):
            first = sum(plan.steps_in_epoch(e) for e in range(epoch))
            sizes = plan.step_tokens(epoch)
            assert sizes.sum() == plan.tokens_in_epoch
            found = [len(plan.batch(first + i).tokens) for i in range(plan.steps_in_epoch(epoch))]
            assert sizes.tolist() == found


def test_a_sample_is_even_over_the_sizes():
    sizes = np.array([50, 10, 40, 20, 30, 60], np.int64)
    assert [sizes[i] for i in run_length.sample_steps(sizes, 3)] == [20, 40, 60]
    assert sorted(run_length.sample_steps(sizes, 100)) == list(range(6))


def test_thirty_steps_give_the_mean_of_thousands(skewed, monkeypatch):
    """Although time grows faster than size, and steps differ sixtyfold."""
    now = [0.0]

    def cost(tokens):
        return 0.002 + 1e-4 * tokens + 2e-6 * tokens**2

    def step(batch):
        now[0] += cost(len(batch.tokens))

    monkeypatch.setattr(run_length.time, "perf_counter", lambda: now[0])
    found = run_length.measure_step_speed(skewed, step, 30 * 0.0102)
    truth = cost(skewed.step_tokens(0).astype(float)).mean()
    assert 20 <= found.timed <= 60
    assert found.seconds == pytest.approx(truth, rel=0.03)
    assert found.tokens == pytest.approx(skewed.tokens_in_epoch / skewed.windows_in_epoch)
    assert found.tokens_per_s == found.tokens / found.seconds
    # the first ones would not do
    first = np.mean([cost(len(skewed.batch(i).tokens)) for i in range(3)])
    assert abs(first / truth - 1) > 0.1


def test_the_error_is_that_of_the_noise_not_of_the_sizes(skewed, monkeypatch):
    now, draw = [0.0], np.random.default_rng(1)

    def step(batch):
        now[0] += 0.1 + draw.normal(0, 0.01)

    monkeypatch.setattr(run_length.time, "perf_counter", lambda: now[0])
    found = run_length.measure_step_speed(skewed, step, 10.0)
    assert found.error == pytest.approx(0.01 / found.timed**0.5, rel=0.3)


def test_a_pass_of_one_step(monkeypatch):
    found = run_length.measure_step_speed(
        BatchPlan(documents([5]), 8, docs_per_step=1), lambda _: None, 0.01
    )
    assert found.timed == 1 and found.error == 0.0 and found.tokens == 5
