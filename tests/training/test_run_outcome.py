"""What is told of a run at its end: that it diverged, or began to learn its text by heart."""

import math

from vidya.measuring.held_out_loss import HeldOutLoss
from vidya.training.run_outcome import (
    Evaluation,
    LossesSince,
    best_before_memorising,
    diverged,
)

VOCABULARY = 300  # ln: 5.7


def evaluations(held_out, trained=None):
    trained = trained or [None, *held_out[1:]]
    return [
        Evaluation(100 * at, mean, None if loss is None else HeldOutLoss(loss, loss / 2, 1000))
        for at, (loss, mean) in enumerate(zip(held_out, trained, strict=True))
    ]


def test_a_run_that_ends_above_guessing_has_diverged():
    assert diverged(evaluations([8.0, 6.0, 15939.0]), VOCABULARY)
    assert diverged(evaluations([None, None, None], [None, 6.0, 9.0]), VOCABULARY)


def test_a_run_that_is_short_or_bad_has_not():
    assert not diverged(evaluations([8.0, 7.5, 7.0]), VOCABULARY)  # above guessing, but it falls
    assert not diverged(evaluations([5.0, 3.0, 4.0]), VOCABULARY)  # worse, but it knows much
    assert not diverged(evaluations([8.0]), VOCABULARY) and not diverged([], VOCABULARY)
    assert 5 < math.log(VOCABULARY) < 6


def test_learning_by_heart_is_told_with_the_best_step():
    run = evaluations([8.0, 4.0, 3.0, 3.5], [None, 5.0, 2.5, 1.0])
    best = best_before_memorising(run)
    assert best is run[2]


def test_what_is_no_learning_by_heart():
    falls = evaluations([8.0, 4.0, 3.0, 3.01], [None, 5.0, 2.5, 2.0])
    worse = evaluations([8.0, 4.0, 3.0, 3.5], [None, 5.0, 2.5, 4.0])  # in training as well
    without = evaluations([None, None], [None, 2.0])
    assert [best_before_memorising(run) for run in (falls, worse, without)] == [None] * 3


def test_means_of_the_losses_between_evaluations():
    losses = LossesSince()
    assert losses.mean_and_begin_anew() is None
    losses.add(1.0)
    losses.add(3.0)
    assert losses.mean_and_begin_anew() == 2.0 and losses.mean_and_begin_anew() is None
