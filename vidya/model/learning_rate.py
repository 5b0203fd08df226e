"""The learning rate of each step: linear warm-up, then half a cosine or a line down to a floor."""

from __future__ import annotations

import math
from typing import Literal

from vidya.errors import UserError

Decay = Literal["cosine", "linear"]
"""How the rate falls after the warm-up."""


def learning_rate(
    step: int, *, total_steps: int, peak: float, warmup_steps: int, floor: float = 0.0,
    decay: Decay = "cosine",
) -> float:  # fmt: skip
    """Learning rate of optimizer step `step`, counted from 0.

    With w = `warmup_steps` and n = `total_steps`:

    - steps 0 … w-1 rise linearly: peak·(step + 1)/(w + 1), so that even step 0 moves;
    - step w has exactly `peak`, and no other step has;
    - steps w … n-1 fall as peak·(floor + (1 - floor)·f(p)) with p = (step - w)/(n - w), where
      f(p) is (1 + cos(πp))/2 for decay "cosine" and 1 - p for "linear";
    - step n would have exactly floor·peak, as has every step after it. The last
      step taken, n-1, is one step above that: with a floor of 0 it is not wasted.

    Raises:
        UserError: n < 1, w not in [0, n), peak not positive, floor not in [0, 1],
            or a negative step.
    """
    if total_steps < 1:
        raise UserError(f"a run needs at least 1 step, not {total_steps}")
    if not 0 <= warmup_steps < total_steps:
        raise UserError(
            f"a warm-up of {warmup_steps} steps does not fit a run of {total_steps}: "
            "it must be at least 0 and shorter than the run"
        )
    if not (peak > 0.0 and math.isfinite(peak)):
        raise UserError(f"the peak learning rate must be a positive number, not {peak}")
    if not 0.0 <= floor <= 1.0:
        raise UserError(f"the floor is a fraction of the peak, in [0, 1], not {floor}")
    if step < 0:
        raise UserError(f"step must be at least 0, not {step}")
    if step < warmup_steps:
        return peak * ((step + 1) / (warmup_steps + 1))
    if step >= total_steps:
        return peak * floor
    progress = (step - warmup_steps) / (total_steps - warmup_steps)
    left = 1.0 - progress if decay == "linear" else 0.5 * (1.0 + math.cos(math.pi * progress))
    return peak * (floor + (1.0 - floor) * left)


def fit_warmup(warmup_steps: int, total_steps: int) -> int:
    """The warm-up to use in a run of `total_steps`: `warmup_steps`, at most a tenth of it.

    Presets have warm-ups made for long runs. One of 2,000 steps would be all that
    a run of 600 ever saw, so there it becomes 60; runs under 10 steps have none.

    Raises:
        UserError: a negative warm-up or a run without a step.
    """
    if warmup_steps < 0:
        raise UserError(f"warm-up must be at least 0 steps, not {warmup_steps}")
    if total_steps < 1:
        raise UserError(f"a run needs at least 1 step, not {total_steps}")
    return min(warmup_steps, total_steps // 10)
