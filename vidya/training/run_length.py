"""How many steps a run gets: as many as fit the time given for it, at the speed measured."""

from __future__ import annotations

import math

from vidya.text.batch_plan import Batch, BatchPlan
from vidya.training.options import EVALUATIONS
from vidya.training.step_speed import StepSpeed, measure_step_speed
from vidya.training.training_run import TrainingRun

TIMING_SECONDS = 6.0
"""Time given to measuring the speed of a step before the length of a run is chosen."""


def measure_speed(run: TrainingRun, seconds: float, batches: BatchPlan | None = None) -> StepSpeed:
    """What a step takes, update included; timed for about so many seconds.

    Args:
        run: one that has not begun: it stays as it is.
        seconds: how long to measure.
        batches: of the steps; default: the run's own. None may exceed the run's longest.
    """
    if run.optimizer.steps:
        raise ValueError("the moments of a run that has begun would be lost")

    def step(batch: Batch) -> None:
        """At rate 0: all of a step's work, and the weights stay. The moments do not."""
        run.gradients(batch)
        run.optimizer.update(0.0, run.optimizer.gradient_norm())

    try:
        return measure_step_speed(batches or run.plan, step, seconds)
    finally:
        run.optimizer.reset()


def measure_length(run: TrainingRun) -> tuple[int, float]:
    """Steps that fit --minutes at the speed measured now, at most --passes; seconds a step.

    Steps of the run's own batches are measured; the run stays as it is.
    """
    seconds = measure_speed(run, TIMING_SECONDS).seconds
    held_out = run.corpora.held_out
    tokens = 0 if held_out is None else min(run.options.eval_tokens, len(held_out.tokens))
    # an evaluation takes as long as so many steps: its forward passes are a third of them
    evaluation = tokens / run.plan.max_tokens / 3
    available = run.options.minutes * 60 - (EVALUATIONS + 1) * evaluation * seconds
    most = 0
    for epoch in range(math.ceil(run.options.passes)):
        part = min(1.0, run.options.passes - epoch)
        most += math.ceil(run.plan.steps_in_epoch(epoch) * part)
    return max(1, min(most, int(available / seconds))), seconds
