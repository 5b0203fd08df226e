"""How long the steps of a run take on average: timed on a sample of its own batches.

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
