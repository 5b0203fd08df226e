"""The mean time of a step from a few of a run's own batches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidya.text.batch_plan import BatchPlan
from vidya.text.token_documents import TokenDocuments
from vidya.training import step_speed


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
    assert [sizes[i] for i in step_speed.sample_steps(sizes, 3)] == [20, 40, 60]
    assert sorted(step_speed.sample_steps(sizes, 100)) == list(range(6))


def test_thirty_steps_give_the_mean_of_thousands(skewed, monkeypatch):
    """Although time grows faster than size, and steps differ sixtyfold."""
    now = [0.0]

    def cost(tokens):
        return 0.002 + 1e-4 * tokens + 2e-6 * tokens**2

    def step(batch):
        now[0] += cost(len(batch.tokens))

    monkeypatch.setattr(step_speed.time, "perf_counter", lambda: now[0])
    found = step_speed.measure_step_speed(skewed, step, 30 * 0.0102)
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

    monkeypatch.setattr(step_speed.time, "perf_counter", lambda: now[0])
    found = step_speed.measure_step_speed(skewed, step, 10.0)
    assert found.error == pytest.approx(0.01 / found.timed**0.5, rel=0.3)


def test_a_pass_of_one_step(monkeypatch):
    found = step_speed.measure_step_speed(
        BatchPlan(documents([5]), 8, docs_per_step=1), lambda _: None, 0.01
    )
    assert found.timed == 1 and found.error == 0.0 and found.tokens == 5
