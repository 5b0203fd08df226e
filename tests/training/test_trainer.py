"""The training loop from the inside: signals at any place, NaN, lengths, the last files."""

import math
import os
import signal

import numpy as np
import pytest
from support.small_runs import go
from support.training_runs import (
    BASE,
    curve,
    evaluation_lines,
    training_lines,
    weights,
)

from vidya import kernels
from vidya.errors import UserError
from vidya.model import config
from vidya.storage import checkpoint
from vidya.storage.metrics_log import MetricsWriter
from vidya.system.stop_signal import StopSignal
from vidya.training import thread_choice

pytestmark = [pytest.mark.auto_precision, pytest.mark.usefixtures("kernel_settings")]


# ---------------------------------------------------------------- signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_remembers_the_signal(number):
    before = signal.getsignal(number)
    interruption = StopSignal()
    with interruption.watching():
        assert not interruption()
        os.kill(os.getpid(), number)
        assert interruption() and interruption.signal == number
    assert signal.getsignal(number) is before


def test_a_second_signal_interrupts_at_once():
    interruption = StopSignal()
    with interruption.watching(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def at_call(call):
    """The signal comes in when the trainer asks for it for the `call`-th time."""
    asked = 0

    def interrupted():
        nonlocal asked
        asked += 1
        return asked >= call

    return interrupted


def test_wherever_a_signal_comes_the_run_goes_on_as_if_there_had_been_none(new_run, straight):
    """Before the first step, in evaluations, in samples: saved, and nothing lost or doubled.

    Each session is cut a little later than the one before, until one reaches the end.
    """
    steps, cut_in_evaluation = [], 0
    made = new_run("cut")
    for call in range(1, 100):
        go(made, at_call(call))
        step = made.progress.step
        steps.append(step)
        weights(made.folder.path, step)  # there, and whole
        cut_in_evaluation += step % 3 == 0 and made.progress.evaluated != step
        if step == 12:
            break
        made = new_run("cut", resume=True)
    assert steps[0] == 0 and len(steps) > 5 and cut_in_evaluation >= 2
    assert [line["step"] for line in training_lines(made.folder.path)] == list(range(1, 13))
    assert [line["step"] for line in evaluation_lines(made.folder.path)] == [0, 3, 6, 9, 12]
    assert curve(made.folder.path) == curve(straight)
    assert weights(made.folder.path) == weights(straight)
    samples = (made.folder.path / "samples.txt").read_bytes()
    assert samples == (straight / "samples.txt").read_bytes()


def test_a_signal_in_the_last_step_does_not_keep_the_run_from_ending(new_run, straight):
    made = new_run("late")
    go(made, lambda: made.progress.step == 12)
    assert curve(made.folder.path) == curve(straight)
    assert weights(made.folder.path) == weights(straight)


# ---------------------------------------------------------------- the end


def test_the_weights_are_there_before_the_run_counts_as_finished(new_run, monkeypatch):
    """Killed between the last two files, the run must not be finished without its weights."""
    made, written = new_run(), []
    save = checkpoint.save
    monkeypatch.setattr(
        checkpoint, "save", lambda path, *rest: (written.append(path.name), save(path, *rest))
    )
    go(made)
    assert written == [f"{BASE}_4.bin", f"{BASE}_8.bin", f"{BASE}.bin", f"{BASE}_12.bin"]


def test_lines_are_on_the_disk_before_the_checkpoint_that_counts_on_them(new_run, monkeypatch):
    made, order = new_run(), []
    sync, save = MetricsWriter.sync, checkpoint.save
    monkeypatch.setattr(MetricsWriter, "sync", lambda log: (order.append("sync"), sync(log)))
    monkeypatch.setattr(checkpoint, "save", lambda *a: (order.append(a[0].name), save(*a)))
    go(made)
    assert order == [
        "sync", f"{BASE}_4.bin", "sync", f"{BASE}_8.bin", "sync", f"{BASE}.bin", f"{BASE}_12.bin",
    ]  # fmt: skip


# ---------------------------------------------------------------- numbers that are none


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("what", ["loss", "gradient norm"])
def test_a_step_that_fails_changes_nothing(new_run, monkeypatch, bad, what):
    """Step 7 fails: the weights stay those of step 6, the checkpoint that of step 4."""
    made = new_run()
    loss_and_gradients, norm = made.model.loss_and_gradients, made.optimizer.gradient_norm
    failing = lambda: made.progress.step == 6  # noqa: E731
    if what == "loss":
        monkeypatch.setattr(
            made.model, "loss_and_gradients",
            lambda *a, **k: bad if failing() else loss_and_gradients(*a, **k),
        )  # fmt: skip
    else:
        monkeypatch.setattr(
            made.optimizer, "gradient_norm", lambda: bad if failing() else norm()
        )  # fmt: skip
    with pytest.raises(UserError) as error:
        go(made)
    message = str(error.value)
    assert message.startswith(f"stopped at step 7: the {what} is {bad}; the last good checkpoint ")
    assert f"{BASE}_4.bin" in message and "a lower --lr" in message and "\n" not in message
    assert made.progress.step == made.optimizer.steps == 6
    assert np.isfinite(made.model.flat).all()
    assert [line["step"] for line in training_lines(made.folder.path)][-1] == 6
    assert {path.name for path in made.folder.path.glob("*.bin")} == {f"{BASE}_4.bin"}


def destroy_in_step(made, step):
    """Make that step one at a rate that leaves the weights finite, but of no use."""
    update = made.optimizer.update
    made.optimizer.update = lambda rate, norm: update(
        1e30 if made.progress.step == step - 1 else rate, norm
    )


def test_weights_that_cannot_be_trained_on_are_never_saved(new_run):
    """They may still have a finite loss: the checkpoint that is good stays the newest."""
    made = new_run()
    destroy_in_step(made, 8)
    with pytest.raises(UserError, match=r"stopped at step 9: .* is (nan|inf|-inf); "):
        go(made)
    assert {path.name for path in made.folder.path.glob("*.bin")} == {f"{BASE}_4.bin"}


def test_bad_weights_at_the_last_step_are_no_model(new_run):
    made = new_run()
    destroy_in_step(made, 12)
    with pytest.raises(UserError, match="stopped at step 13: "):
        go(made)
    assert {path.name for path in made.folder.path.glob("*.bin")} == {
        f"{BASE}_4.bin",
        f"{BASE}_8.bin",
    }


def test_trying_the_next_step_leaves_no_trace(new_run, straight):
    """Checkpoints at every step or at none: the numbers are the same."""
    made = new_run("often", checkpoint_every=1)
    go(made)
    assert curve(made.folder.path) == curve(straight)
    assert weights(made.folder.path) == weights(straight)


# ---------------------------------------------------------------- threads and profile


def test_choosing_threads_times_a_usual_step_and_changes_nothing(new_run, straight, monkeypatch):
    """The options are those of the run, and the numbers of the run that follows are too."""
    made, asked = new_run("chosen", threads="auto"), []

    def choose(wanted, work, step, say):
        asked.append((wanted, work))
        for _ in range(3):
            step()
        kernels.set_num_threads(2)

    monkeypatch.setattr(thread_choice, "choose", choose)
    made.choose_threads(pytest.fail)
    ((wanted, work),) = asked
    assert wanted == "auto" and work.precision == made.model.precision
    assert work.model == config.describe(made.model.config)
    sizes = [len(made.plan.batch(step).tokens) for step in range(8)]
    usual = made.plan.tokens_in_epoch / made.plan.steps_in_epoch(0)
    assert abs(work.tokens - usual) == min(abs(size - usual) for size in sizes)
    assert np.abs(made.model.flat_gradient).max() > 0  # it was a whole step
    go(made)
    assert curve(made.folder.path) == curve(straight)
    assert weights(made.folder.path) == weights(straight)


def test_the_precision_of_the_model_is_part_of_the_choice(new_run, monkeypatch):
    made, asked = new_run(), []
    monkeypatch.setattr(thread_choice, "choose", lambda _, work, *__: asked.append(work.precision))
    monkeypatch.setattr(made.model, "precision", "bf16", raising=False)
    made.choose_threads(pytest.fail)
    assert asked == ["bf16"]


def test_an_interrupted_profile_shows_what_there_is(new_run, capsys):
    made = new_run(profile=True)
    go(made, lambda: made.progress.step == 6)
    tables = [line for line in capsys.readouterr().err.splitlines() if line.startswith("profile")]
    assert len(tables) == 1 and tables[0].startswith("profile: 3 steps of ")
