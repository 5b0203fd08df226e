"""The spike guard: what it finds, what it leaves alone, and that it remembers."""

import math
import random

import pytest
from support.small_runs import go
from support.training_runs import BASE, curve, training_lines, weights

from vidya.errors import UserError
from vidya.training import spike_guard
from vidya.training.spike_guard import LEAST, WINDOW, SpikeGuard

pytestmark = [pytest.mark.either_precision, pytest.mark.usefixtures("kernel_settings")]


def one_document_steps(count, seed=0):
    """Losses and norms as noisy as those of a real run of one document a step."""
    draw = random.Random(seed)
    for step in range(count):
        loss = 4.2 + 2 * math.exp(-step / 200) + draw.gauss(0, 0.35)
        yield loss, math.exp(draw.gauss(0.3, 0.35) + (draw.random() < 0.005) * 2.5)


def after(steps, *last):
    """What the guard says of the last step, after these."""
    watching = SpikeGuard()
    for loss, norm in steps:
        watching.look(loss, norm)
    return watching.look(*last)


def test_noise_is_no_spike():
    watching = SpikeGuard()
    assert [watching.look(*step) for step in one_document_steps(20_000)] == [None] * 20_000


@pytest.mark.parametrize(
    ("loss", "norm", "what"),
    [
        (9.0, 1.3, "loss"),
        (4.2, 2000.0, "gradient norm"),
        (9.0, 2000.0, "loss"),
        (5.2, 20.0, None),
        (0.0, 0.0, None),
    ],
)
def test_what_is_far_above_is_a_spike(loss, norm, what):
    spike = after(one_document_steps(1000), loss, norm)
    assert (spike and spike.what) == what


def test_it_says_what_it_saw():
    text = str(after(one_document_steps(1000), 9.0, 1.3))
    assert text.startswith("the loss is 9, 1")
    assert " standard deviations above that of the 128 steps before, 4." in text


def test_the_first_steps_are_not_judged():
    """The deviation must be known: the limit is reached after `LEAST` steps, not before."""
    steps = list(one_document_steps(LEAST))
    assert after(steps[:-1], 90.0, 1.0) is None
    assert after(steps, 90.0, 1.0).what == "loss"


def test_only_the_window_counts():
    """A level that lasts becomes the usual one."""
    watching = SpikeGuard()
    for loss, norm in one_document_steps(500):
        watching.look(loss, norm)
    found = [
        watching.look(loss + 10, norm) is not None
        for loss, norm in one_document_steps(3 * WINDOW, seed=1)
    ]
    assert found[0] and not any(found[WINDOW:])


def test_values_that_never_vary_are_no_measure():
    assert after([(2.0, 1.0)] * 200, 2.001, 1.01) is None


def test_a_restored_guard_says_the_same():
    watching, steps = SpikeGuard(), list(one_document_steps(300))
    steps[200] = (30.0, 1.0)
    for loss, norm in steps[:150]:
        watching.look(loss, norm)
    again = SpikeGuard()
    again.restore(watching.state())
    said = [watching.look(*step) for step in steps[150:]]
    assert [again.look(*step) for step in steps[150:]] == said
    assert said[50].what == "loss"
    assert len(watching.state()["losses"]) == WINDOW
    fresh = SpikeGuard()
    fresh.restore({})
    assert fresh.state() == SpikeGuard().state()


# ---------------------------------------------------------------- in a training


@pytest.fixture
def quick_guard(monkeypatch):
    """Judges from the third step on."""
    monkeypatch.setattr(spike_guard, "LEAST", 2)
    monkeypatch.setattr(spike_guard, "LOSS_SIGMAS", 1e9)
    monkeypatch.setattr(spike_guard, "NORM_SIGMAS", 1e9)


def spike_in_step(made, step, times=1e6):
    """That step's gradient norm is a million times its own, as its gradients are."""
    norm = made.optimizer.gradient_norm

    def spiking():
        if made.progress.step == step - 1:
            made.model.flat_gradient *= times
        return norm()

    made.optimizer.gradient_norm = spiking


@pytest.fixture
def at_ten(quick_guard, monkeypatch):
    monkeypatch.setattr(spike_guard, "NORM_SIGMAS", 20.0)


def test_a_spike_is_told_and_recorded_and_changes_nothing(
    new_run, quick_guard, monkeypatch, capsys
):
    unwatched = new_run("unwatched")
    spike_in_step(unwatched, 10)
    go(unwatched)
    assert "spike" not in capsys.readouterr().err
    monkeypatch.setattr(spike_guard, "NORM_SIGMAS", 20.0)
    made = new_run()
    spike_in_step(made, 10)
    go(made)
    lines = training_lines(made.folder.path)
    assert [line["step"] for line in lines if "spike" in line] == [10]
    assert lines[9]["spike"] > 20
    assert "step 10: spike: the gradient norm is " in capsys.readouterr().err
    assert weights(made.folder.path) == weights(unwatched.folder.path)


def test_a_step_can_be_skipped_and_a_resumed_run_skips_the_same(new_run, straight, at_ten, capsys):
    made = new_run("whole", on_spike="skip")
    spike_in_step(made, 10)
    go(made)
    assert made.progress.skipped == 1 and made.optimizer.steps == 11
    assert "; its update is left out" in capsys.readouterr().err
    lines, usual = training_lines(made.folder.path), training_lines(straight)
    assert [line["loss"] for line in lines[:10]] == [line["loss"] for line in usual[:10]]
    assert lines[10]["loss"] != usual[10]["loss"]

    cut = new_run("cut", on_spike="skip")
    spike_in_step(cut, 10)
    go(cut, lambda: cut.progress.step == 10)
    for stop in (11, 12):
        cut = new_run("cut", resume=True, on_spike="skip")
        go(cut, lambda: cut.progress.step == stop)  # noqa: B023
        assert cut.progress.skipped == 1
    assert curve(cut.folder.path) == curve(made.folder.path)
    assert weights(cut.folder.path) == weights(made.folder.path)


def test_the_run_can_stop_before_a_spike_and_go_on_past_it(new_run, at_ten):
    made = new_run("stopped", on_spike="stop")
    spike_in_step(made, 10)
    with pytest.raises(UserError) as error:
        go(made)
    message = str(error.value)
    assert message.startswith("stopped before step 10: the gradient norm is ")
    assert f"{BASE}_9.bin: go on past it with --resume --on-spike skip, or" in message
    assert made.optimizer.steps == made.progress.step == 9
    weights(made.folder.path, 9)  # whole
    past = new_run("stopped", resume=True, on_spike="skip")
    spike_in_step(past, 10)
    go(past)
    whole = new_run("whole", on_spike="skip")
    spike_in_step(whole, 10)
    go(whole)
    assert curve(past.folder.path) == curve(whole.folder.path)
    assert weights(past.folder.path) == weights(whole.folder.path)
