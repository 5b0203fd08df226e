"""The arithmetic of a run's plan."""

import pytest

from vidya.planning.run_plan import disk_bytes, run_seconds
from vidya.training import disk_plan
from vidya.training.options import TrainOptions


def test_seconds_of_a_run_by_hand():
    options = TrainOptions(eval_every=100, checkpoint_every=400)
    costs = {"step": 0.5, "evaluation": 20.0, "samples": 3.0, "checkpoint": 7.0}
    # evaluations at 0, 100, … 900 and at the last step; checkpoints at 400, 800 and the last
    assert run_seconds(options, 950, **costs) == 475 + 11 * 20 + 10 * 3 + 3 * 7


def test_checkpoints_of_a_long_run_by_hand():
    options = TrainOptions(checkpoint_every=10_000, keep=3)
    one = disk_plan.training_checkpoint_bytes(1_000_000)
    assert one == pytest.approx(12e6, rel=0.01)
    # 60 checkpoints: the newest three, 100k … 500k, and the one being written
    most = disk_bytes(options, 1_000_000, 600_000)
    assert most == pytest.approx((3 + 5 + 1) * one + 4e6 + 600_000 * 200, rel=0.001)
    assert disk_bytes(options, 1_000_000, 10_000) < 2 * one
