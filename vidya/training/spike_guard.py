"""Watches loss and gradient norm of a training for spikes.

A step is a spike if its loss lies more than 6 standard deviations above the mean of the
last 128 steps, or the logarithm of its gradient norm more than 15 above the mean of theirs.
The window, and the 6, are those of OLMo-core's `SkipStepOptimizer` (Ai2 2024), with which
OLMo 2 was trained. It compares the norm itself, also with 6: right for batches of millions
of tokens, but with one short document a step norms are spread over orders of magnitude and
clipping makes them harmless (docs/TRAINING.md has what was measured). What the guard
remembers is part of a checkpoint, so a resumed run sees the same spikes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WINDOW = 128
"""Steps that a step is compared with."""
LEAST = 64
"""Steps that must have been seen before anything is called a spike."""
LOSS_SIGMAS = 6.0
NORM_SIGMAS = 15.0
_TINY = 1e-30


@dataclass(frozen=True)
class Spike:
    """A step out of line."""

    what: str
    """"loss" or "gradient norm"."""
    value: float
    usual: float
    """Mean of the steps before; of norms, the geometric mean."""
    sigmas: float
    """Standard deviations above it; of norms, those of the logarithm."""

    def __str__(self) -> str:
        return (
            f"the {self.what} is {self.value:.4g}, {self.sigmas:.1f} standard deviations above "
            f"that of the {WINDOW} steps before, {self.usual:.4g}"
        )


class SpikeGuard:
    """Compares each step with those before it. The values must be finite."""

    def __init__(self) -> None:
        self._losses: list[float] = []
        self._norms: list[float] = []  # their logarithms

    def look(self, loss: float, norm: float) -> Spike | None:
        """Whether this step is a spike; it becomes one of those to compare with."""
        log_norm = math.log(max(norm, _TINY))
        by_loss, by_norm = _above(loss, self._losses), _above(log_norm, self._norms)
        for value, seen in ((loss, self._losses), (log_norm, self._norms)):
            seen.append(value)
            del seen[:-WINDOW]
        if by_loss and by_loss[1] > LOSS_SIGMAS:
            return Spike("loss", loss, *by_loss)
        if by_norm and by_norm[1] > NORM_SIGMAS:
            return Spike("gradient norm", norm, math.exp(by_norm[0]), by_norm[1])
        return None

    def state(self) -> dict[str, list[float]]:
        """What `restore` needs, as JSON values."""
        return {"losses": list(self._losses), "norms": list(self._norms)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`; an empty one, of earlier versions, means nothing seen."""
        self._losses = [float(value) for value in state.get("losses", ())]
        self._norms = [float(value) for value in state.get("norms", ())]


def _above(value: float, seen: list[float]) -> tuple[float, float] | None:
    """Mean of what was seen, and how many deviations `value` is above; None: cannot tell."""
    if len(seen) < LEAST:
        return None
    # fsum: the same sum, rounded once, on every machine
    mean = math.fsum(seen) / len(seen)
    deviation = math.sqrt(math.fsum((x - mean) ** 2 for x in seen) / (len(seen) - 1))
    # values that hardly vary, as those of a corpus of one document, are no measure
    if deviation <= _TINY + 1e-4 * abs(mean):
        return None
    return mean, (value - mean) / deviation
