"""How long the steps of a run take on average, and how many steps fit the time given for it.

The batches of a run differ in size, and a step does not take twice as long for twice the
tokens: attention grows faster than them, the optimizer not at all. So the steps of the
first pass are sorted by size and cut into equal groups, and the middle step of each is
timed. Their mean is that of the pass, whatever the curve of time over size looks like,
and a few dozen steps give it to a few per cent.
"""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidya.text.batch_plan import Batch, BatchPlan, permutation
from vidya.training.options import EVALUATIONS
from vidya.training.training_run import TrainingRun

TIMING_SECONDS = 6.0
"""Time given to measuring the speed of a step before the length of a run is chosen."""

LEAST_STEPS, MOST_STEPS = 5, 400
"""Steps that are timed, whatever time is given (fewer only if a pass has fewer)."""


@dataclass(frozen=True)
class StepSpeed:
    """What a step of a run costs."""

    seconds: float
    """Mean time of a step, as over a pass."""
    tokens: float
    """Mean predictions of a step, over the whole first pass."""
    timed: int
    """Steps that were timed."""
    error: float
    """Standard error of `seconds`."""

    @property
    def tokens_per_s(self) -> float:
        """Predictions a second."""
        return self.tokens / self.seconds


def sample_steps(sizes: NDArray[np.int64], count: int) -> list[int]:
    """Steps that stand for all: the middle ones of `count` groups of equal size, by tokens.

    Args:
        sizes: [steps] tokens of each.
        count: how many are wanted; not more than there are.

    Returns:
        Their numbers, the smallest step first.
    """
    count = min(count, len(sizes))
    by_size = np.argsort(sizes, kind="stable")
    middle = ((np.arange(count) + 0.5) * len(sizes) / count).astype(np.int64)
    return [int(step) for step in by_size[middle]]


def measure_step_speed(
    plan: BatchPlan, step: Callable[[Batch], object], seconds: float
) -> StepSpeed:
    """Time `step` on a sample of the first pass, for about so many seconds.

    The first call, which pages memory in, does not count.
    """

    def timed(number: int) -> float:
        start = time.perf_counter()
        step(plan.batch(number))
        return time.perf_counter() - start

    sizes = plan.step_tokens(0)
    usual = sample_steps(sizes, 1)[0]
    timed(usual)
    expected = max(timed(usual), 1e-6)
    chosen = sample_steps(sizes, min(MOST_STEPS, max(LEAST_STEPS, round(seconds / expected))))
    # in an order that has nothing to do with size: a machine that slows down favours none
    times = [0.0] * len(chosen)
    for place in permutation(len(chosen), 0, 0).tolist():
        times[place] = timed(chosen[place])
    return StepSpeed(statistics.fmean(times), float(sizes.mean()), len(times), _error(times))


def _error(times: list[float]) -> float:
    """Standard error of the mean of one time from each group, in the order of the groups.

    Times that differ because the groups do are no error: neighbours, which hardly
    differ in size, are compared.
    """
    if len(times) < 2:
        return 0.0
    squares = [(after - before) ** 2 for before, after in itertools.pairwise(times)]
    return math.sqrt(statistics.fmean(squares) / 2 / len(times))


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
