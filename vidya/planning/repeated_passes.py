"""What training on the same text again is worth, in text that was never seen.

The law of Muennighoff et al. 2023, "Scaling Data-Constrained Language Models"
(arXiv 2305.16264, equation 5 with their fit R* = 15.39): of U tokens that are read 1 + R times,
training learns what U + U·R*·(1 - exp(-R / R*)) fresh tokens would teach. Fitted to models of
7 M to 9 G parameters on web text.
"""

from __future__ import annotations

import math

REPEATS_THAT_PAY = 15.39
"""R*: repeats after which the worth of another has fallen to 1/e."""


def fresh_passes(passes: float) -> float:
    """Passes over fresh text that teach as much as `passes` over the same text."""
    repeats = passes - 1
    if repeats <= 0:
        return passes
    return 1 + REPEATS_THAT_PAY * (1 - math.exp(-repeats / REPEATS_THAT_PAY))


def repeats_line(passes: float) -> str | None:
    """A sentence on what the repeats of a run are worth; None where they are as fresh text."""
    worth = fresh_passes(passes)
    if passes < 1.05:
        return None
    return (
        f"Repeated text: {passes:.1f} times through the same text teaches as much as "
        f"{worth:.1f} times as much text read once ({worth / passes:.0%})"
    )
