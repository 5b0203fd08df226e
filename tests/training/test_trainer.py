"""The training loop from the inside: signals at any place, NaN, lengths, the last files."""

import dataclasses
import math
import os
import signal

import numpy as np
import pytest
from support.trainers import go
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
from vidya.training import thread_choice, trainer
from vidya.training.samples import append_samples, truncate_samples

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


def interrupt_at_call(made, monkeypatch, call):
    """The signal comes in when the trainer asks for it for the `call`-th time."""
    asked = 0

    def interrupted():
        nonlocal asked
        asked += 1
        return asked >= call

    monkeypatch.setattr(made, "interrupted", interrupted)


def test_wherever_a_signal_comes_the_run_goes_on_as_if_there_had_been_none(
    new_trainer, straight, monkeypatch
):
    """Before the first step, in evaluations, in samples: saved, and nothing lost or doubled.

    Each session is cut a little later than the one before, until one reaches the end.
    """
    steps, cut_in_evaluation = [], 0
    made = new_trainer("cut")
    for call in range(1, 100):
        interrupt_at_call(made, monkeypatch, call)
        go(made)
        step = made.progress.step
        steps.append(step)
        weights(made.run.path, step)  # there, and whole
        cut_in_evaluation += step % 3 == 0 and made.progress.evaluated != step
        if step == 12:
            break
        made = new_trainer("cut", resume=True)
    assert steps[0] == 0 and len(steps) > 5 and cut_in_evaluation >= 2
    assert [line["step"] for line in training_lines(made.run.path)] == list(range(1, 13))
    assert [line["step"] for line in evaluation_lines(made.run.path)] == [0, 3, 6, 9, 12]
    assert curve(made.run.path) == curve(straight)
    assert weights(made.run.path) == weights(straight)
    samples = (made.run.path / "samples.txt").read_bytes()
    assert samples == (straight / "samples.txt").read_bytes()


def test_a_signal_in_the_last_step_does_not_keep_the_run_from_ending(
    new_trainer, straight, monkeypatch
):
    made = new_trainer("late")
    monkeypatch.setattr(made, "interrupted", lambda: made.progress.step == 12)
    go(made)
    assert curve(made.run.path) == curve(straight)
    assert weights(made.run.path) == weights(straight)


# ---------------------------------------------------------------- the end


def test_the_weights_are_there_before_the_run_counts_as_finished(new_trainer, monkeypatch):
    """Killed between the last two files, the run must not be finished without its weights."""
    made, written = new_trainer(), []
    save = checkpoint.save
    monkeypatch.setattr(
        checkpoint, "save", lambda path, *rest: (written.append(path.name), save(path, *rest))
    )
    go(made)
    assert written == [f"{BASE}_4.bin", f"{BASE}_8.bin", f"{BASE}.bin", f"{BASE}_12.bin"]


def test_lines_are_on_the_disk_before_the_checkpoint_that_counts_on_them(new_trainer, monkeypatch):
    made, order = new_trainer(), []
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
def test_a_step_that_fails_changes_nothing(new_trainer, monkeypatch, bad, what):
    """Step 7 fails: the weights stay those of step 6, the checkpoint that of step 4."""
    made = new_trainer()
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
    assert [line["step"] for line in training_lines(made.run.path)][-1] == 6
    assert {path.name for path in made.run.path.glob("*.bin")} == {f"{BASE}_4.bin"}


def destroy_in_step(made, step):
    """Make that step one at a rate that leaves the weights finite, but of no use."""
    update = made.optimizer.update
    made.optimizer.update = lambda rate, norm: update(
        1e30 if made.progress.step == step - 1 else rate, norm
    )


def test_weights_that_cannot_be_trained_on_are_never_saved(new_trainer):
    """They may still have a finite loss: the checkpoint that is good stays the newest."""
    made = new_trainer()
    destroy_in_step(made, 8)
    with pytest.raises(UserError, match=r"stopped at step 9: .* is (nan|inf|-inf); "):
        go(made)
    assert {path.name for path in made.run.path.glob("*.bin")} == {f"{BASE}_4.bin"}


def test_bad_weights_at_the_last_step_are_no_model(new_trainer):
    made = new_trainer()
    destroy_in_step(made, 12)
    with pytest.raises(UserError, match="stopped at step 13: "):
        go(made)
    assert {path.name for path in made.run.path.glob("*.bin")} == {f"{BASE}_4.bin", f"{BASE}_8.bin"}


def test_trying_the_next_step_leaves_no_trace(new_trainer, straight):
    """Checkpoints at every step or at none: the numbers are the same."""
    made = new_trainer("often", checkpoint_every=1)
    go(made)
    assert curve(made.run.path) == curve(straight)
    assert weights(made.run.path) == weights(straight)


# ---------------------------------------------------------------- threads and profile


def test_choosing_threads_times_a_usual_step_and_changes_nothing(
    new_trainer, straight, monkeypatch
):
    """The options are those of the run, and the numbers of the run that follows are too."""
    made, asked = new_trainer("chosen", threads="auto"), []

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
    assert curve(made.run.path) == curve(straight)
    assert weights(made.run.path) == weights(straight)


def test_the_precision_of_the_model_is_part_of_the_choice(new_trainer, monkeypatch):
    made, asked = new_trainer(), []
    monkeypatch.setattr(thread_choice, "choose", lambda _, work, *__: asked.append(work.precision))
    monkeypatch.setattr(made.model, "precision", "bf16", raising=False)
    made.choose_threads(pytest.fail)
    assert asked == ["bf16"]


def test_an_interrupted_profile_shows_what_there_is(new_trainer, capsys, monkeypatch):
    made = new_trainer(profile=True)
    monkeypatch.setattr(made, "interrupted", lambda: made.progress.step == 6)
    go(made)
    tables = [line for line in capsys.readouterr().err.splitlines() if line.startswith("profile")]
    assert len(tables) == 1 and tables[0].startswith("profile: 3 steps of ")


# ---------------------------------------------------------------- the length of a run


def chosen_length(made, monkeypatch, seconds, **changes):
    """What `measure_length` chooses on a machine whose every step takes so many seconds."""
    made.options = dataclasses.replace(made.options, **changes)
    now, passes = [0.0], []

    def slow(batch, **_):
        now[0] += seconds
        passes.append(len(batch.tokens))
        return 1.0

    monkeypatch.setattr(made.model, "loss_and_gradients", slow)
    monkeypatch.setattr(made.optimizer, "gradient_norm", lambda: 1.0)
    monkeypatch.setattr(made.optimizer, "update", lambda rate, norm: None)
    monkeypatch.setattr(trainer.time, "perf_counter", lambda: now[0])
    before = made.model.flat.copy()
    steps, measured = made.measure_length()
    assert measured == pytest.approx(seconds) and len(passes) >= 3
    assert np.array_equal(made.model.flat, before) and made.optimizer.steps == 0
    return steps


def test_minutes_bound_the_length(new_trainer, monkeypatch):
    """600 seconds at 0.5 s a step, without what eleven evaluations take."""
    made = new_trainer()
    held_out = len(made.corpora.held_out.tokens)
    evaluation = 0.5 * held_out / made.plan.max_tokens / 3
    expected = int((600 - 11 * evaluation) / 0.5)
    assert expected < 1200
    steps = chosen_length(made, monkeypatch, 0.5, minutes=10.0, passes=1000.0)
    assert steps == pytest.approx(expected, abs=1)


def test_a_big_held_out_corpus_costs_no_more_than_eval_tokens(new_trainer, monkeypatch):
    made = new_trainer(eval_tokens=64)
    expected = int((600 - 11 * 0.5 * 64 / made.plan.max_tokens / 3) / 0.5)
    steps = chosen_length(made, monkeypatch, 0.5, minutes=10.0, passes=1000.0)
    assert steps == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("passes", [0.5, 1.0, 2.5])
def test_passes_bound_the_length(new_trainer, monkeypatch, passes):
    made = new_trainer()
    an_epoch = made.plan.steps_in_epoch(0)
    steps = chosen_length(made, monkeypatch, 0.01, minutes=1e6, passes=passes)
    assert steps == pytest.approx(passes * an_epoch, rel=0.05)


def test_at_least_one_step(new_trainer, monkeypatch):
    assert chosen_length(new_trainer(), monkeypatch, 3.0, minutes=0.001) == 1


def test_measuring_leaves_the_run_as_it_is(new_trainer):
    made = new_trainer()
    before = made.model.flat.copy()
    found = made.measure_speed(0.05)
    assert found.timed >= 5 and found.seconds > 0
    assert np.array_equal(made.model.flat, before)
    assert made.optimizer.steps == 0 and not made.optimizer.m.any() and not made.optimizer.v.any()
    made.optimizer.steps = 1
    with pytest.raises(ValueError, match="has begun"):
        made.measure_speed(0.05)


# ---------------------------------------------------------------- samples.txt


def test_samples_after_a_step_can_be_dropped(tmp_path):
    path = tmp_path / "samples.txt"
    truncate_samples(path, 3)  # nothing there
    assert not path.exists()
    append_samples(path, 2, ["  'hello' → 'a'", "  'how' → 'é'"])
    kept = path.read_bytes()
    assert kept == "step 2\n  'hello' → 'a'\n  'how' → 'é'\n\n".encode()
    for step in (4, 10):
        append_samples(path, step, ["  'hello' → 'b'"])
    with open(path, "a") as file:
        file.write("step 12\n  'hel")  # killed while it wrote
    truncate_samples(path, 3)
    assert path.read_bytes() == kept
    before = path.stat()
    truncate_samples(path, 2)
    assert path.stat().st_ino == before.st_ino  # not written again for nothing


def test_samples_that_cannot_be_written(tmp_path):
    with pytest.raises(UserError, match=r"cannot write .*: Is a directory: free some space$"):
        append_samples(tmp_path, 1, [])
