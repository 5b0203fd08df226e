"""The arithmetic of a run's plan."""

from vidya.planning.run_plan import run_seconds
from vidya.training.options import TrainOptions


def test_seconds_of_a_run_by_hand():
    options = TrainOptions(eval_every=100, checkpoint_every=400)
    costs = {"step": 0.5, "evaluation": 20.0, "samples": 3.0, "checkpoint": 7.0}
    # evaluations at 0, 100, … 900 and at the last step; checkpoints at 400, 800 and the last
    assert run_seconds(options, 950, **costs) == 475 + 11 * 20 + 10 * 3 + 3 * 7
