"""What a run of some length gives, in words: told from the curve of runs that were measured.

The curve is that of docs/TRAINING.md: preset 10m on chat text (chitchat, then chitchat with
DailyDialog), by tokens trained on. At equal tokens 25m was as good (1.98 beside 1.99 bits per byte
after 1.17 M tokens), so the curve is read for every size; other text and a longer run may differ.
"""

from __future__ import annotations

import datetime
import math

from vidya.measuring.quality_in_words import what_it_says
from vidya.planning.repeated_passes import fresh_passes, repeats_line
from vidya.planning.run_plan import RunPlan
from vidya.terminal.formatting import duration, plural

REFERENCE = (
    (9_000, 3.31), (137_000, 2.37), (270_000, 2.36), (535_000, 2.15), (800_000, 2.04),
    (1_070_000, 1.98), (1_600_000, 1.87), (2_670_000, 1.79), (4_080_000, 1.68),
)  # fmt: skip
"""Tokens trained on, and bits per byte of unseen text then; the first two were of nano."""
_TOLD = (270_000, 535_000, 1_070_000, 2_670_000, 4_080_000)


def expected_bits(tokens: float) -> float | None:
    """Bits per byte after so many tokens, by the curve; None beyond its end."""
    if tokens > REFERENCE[-1][0]:
        return None
    if tokens <= REFERENCE[0][0]:
        return REFERENCE[0][1]
    after = next(at for at, (count, _) in enumerate(REFERENCE) if count >= tokens)
    (first, high), (last, low) = REFERENCE[after - 1 : after + 1]
    share = (math.log(tokens) - math.log(first)) / (math.log(last) - math.log(first))
    return high + share * (low - high)


def quality_lines(plan: RunPlan, now: datetime.datetime) -> list[str]:
    """How long the run of a plan is, and what it gives: the answer to `plan --minutes 600`."""
    run = plan.own_length()
    fresh = run.tokens * fresh_passes(run.passes) / run.passes
    bits = expected_bits(fresh)
    end = now + datetime.timedelta(seconds=run.seconds)
    begun = "--steps" if plan.options.steps is not None else f"--minutes {plan.options.minutes:g}"
    size = f"{plan.options.preset}, recipe {plan.options.recipe_name()}"
    lines = [
        f"{size}, with {begun}: {plural(run.steps, 'step')}, "
        f"{run.tokens / 1e6:,.1f} M tokens, {run.passes:.1f} times through the text, "
        f"{duration(run.seconds)}; begun now it is done at {end:%Y-%m-%d %H:%M}"
    ]
    if (repeats := repeats_line(run.passes)) is not None:
        lines.append(repeats)
    if bits is None:
        most, last = REFERENCE[-1]
        lines.append(
            f"What it gives: better than {last:.2f} bits per byte, where the longest run that was "
            f"measured ended after {most / 1e6:.1f} M tokens. At {last:.2f}: {what_it_says(last)}"
        )
    else:
        lines.append(
            f"What it gives: about {bits:.2f} bits per byte on unseen text (lower is better): "
            f"{what_it_says(bits)}"
        )
    curve = dict(REFERENCE)
    told = ", ".join(f"{tokens / 1e6:.1f} M {curve[tokens]:.2f}" for tokens in _TOLD)
    lines.append(f"The curve behind this, 10m on chat text, tokens and bits per byte: {told}")
    return lines
