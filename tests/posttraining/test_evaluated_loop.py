"""The loop that fine-tuning and RL share: when it evaluates, what ends it, what an error says."""

import os
import signal

import pytest
from support.chat_runs import NAME
from support.teaching_runs import TAUGHT, teachable_run

from vidya.errors import UserError
from vidya.posttraining.evaluated_loop import EvaluatedLoop
from vidya.posttraining.gradient_step import NotFiniteError
from vidya.posttraining.trained_run import open_trained_run
from vidya.storage.metrics_log import read_metrics


class Counting(EvaluatedLoop):
    """Learns nothing; `events[step]` happens in a step, and the last evaluation is saved."""

    def __init__(self, trained_run, total=5, **events):
        super().__init__(trained_run, trained_run.corpus, total=total, eval_every=2, eval_tokens=64)
        self.events, self.evaluated = {int(name[1:]): do for name, do in events.items()}, []

    def description(self):
        return {"kind": "counting"}

    def take_step(self):
        self.events.get(self.step + 1, lambda: None)()
        self.step += 1
        self.log.write({"step": self.step})

    def evaluate(self):
        if self.measure_corpus() is not None:
            self.evaluated.append(self.step)
            self.good_weights.keep(self.step)

    def finish(self):
        self.trained_run.save("counted", {"steps": self.step})
        self.saved_step = self.step

    def save_before_error(self):
        self.step = self.good_weights.take_back()
        if self.step:
            self.finish()

    def report(self):
        self.reported = True


@pytest.fixture
def trained_run(tmp_path):
    with open_trained_run(teachable_run(tmp_path / "run")) as trained_run:
        yield trained_run


def failing(error):
    def fail():
        raise error

    return fail


def interrupt():
    os.kill(os.getpid(), signal.SIGTERM)


def log_of(trained_run):
    return trained_run.folder.path / "counting.jsonl"


def test_evaluations_come_before_between_and_after(trained_run):
    loop = Counting(trained_run)
    assert loop.run(log_of(trained_run)) == 0
    assert loop.evaluated == [0, 2, 4, 5] and loop.saved_step == 5
    assert loop.reported and not loop.interrupted and loop.time_s > 0
    about, *steps = read_metrics(log_of(trained_run))
    assert about == {"kind": "counting"} and [line["step"] for line in steps] == [1, 2, 3, 4, 5]


def test_a_signal_ends_it_after_the_step(trained_run):
    loop = Counting(trained_run, _3=interrupt)
    assert loop.run(log_of(trained_run)) == 128 + signal.SIGTERM
    assert loop.step == loop.saved_step == 3 and loop.evaluated == [0, 2]
    assert loop.reported and loop.interrupted


def test_a_signal_in_the_last_step_is_too_late(trained_run):
    loop = Counting(trained_run, _5=interrupt)
    assert loop.run(log_of(trained_run)) == 0
    assert loop.saved_step == 5


def test_an_evaluation_can_end_it(trained_run):
    loop = Counting(trained_run)
    loop.stopped_early = True
    assert loop.run(log_of(trained_run)) == 0
    assert (loop.step, loop.evaluated) == (0, [0])


@pytest.mark.parametrize(
    ("step", "error", "saying"),
    [
        (4, UserError("the reward failed"), f"the reward failed (the weights of step 2 are saved "
         f"as {TAUGHT})"),
        (1, UserError("the reward failed"), "the reward failed"),
        (4, NotFiniteError("the loss is nan"), "stopped at step 4: the loss is nan; the weights "
         f"of step 2 are saved as {TAUGHT}: give a lower --lr"),
        (1, NotFiniteError("the loss is nan"), "stopped at step 1: the loss is nan; nothing was "
         "saved: give a lower --lr"),
    ],
)  # fmt: skip
def test_an_error_tells_what_was_saved(trained_run, step, error, saying):
    loop = Counting(trained_run, **{f"_{step}": failing(error)})
    with pytest.raises(UserError) as told:
        loop.run(log_of(trained_run))
    assert str(told.value) == saying
    assert trained_run.path.exists() == (step == 4)


def test_an_error_leaves_what_was_there(trained_run):
    trained_run.path.write_bytes((trained_run.folder.path / NAME).read_bytes())
    loop = Counting(trained_run, _1=failing(NotFiniteError("the loss is inf")))
    with pytest.raises(UserError, match=f"nothing was saved, {TAUGHT} is what it was: give"):
        loop.run(log_of(trained_run))
    assert trained_run.path.read_bytes() == (trained_run.folder.path / NAME).read_bytes()
