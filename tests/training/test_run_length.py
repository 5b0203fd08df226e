"""The length of a run: the time given for it, at the speed that was measured."""

import dataclasses

import numpy as np
import pytest

from vidya.training import step_speed
from vidya.training.run_length import measure_length, measure_speed

pytestmark = [pytest.mark.auto_precision, pytest.mark.usefixtures("kernel_settings")]


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
    monkeypatch.setattr(step_speed.time, "perf_counter", lambda: now[0])
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
