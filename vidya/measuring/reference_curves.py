"""Curves of runs that were measured, to lay beneath a run's own: is its loss usual?

Held-out bits per byte by tokens trained on, of bare trainings of a preset by a recipe, from
docs/TRAINING.md. They compare across tokenizers, and roughly across chat texts.
"""

from __future__ import annotations

import functools
import json
import math
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("reference_curves.json")


@dataclass(frozen=True)
class ReferenceCurve:
    """A run that was measured."""

    preset: str
    recipe: str
    text: str
    """What it was trained and measured on."""
    points: tuple[tuple[int, float], ...]
    """Tokens trained on, ascending, and held-out bits per byte then."""

    @property
    def name(self) -> str:
        """What it is called beside a run's own."""
        return f"{self.preset} on {self.text}"

    def bits_at(self, tokens: float) -> float | None:
        """Bits per byte after so many tokens, by the logarithm of tokens; None beyond its end."""
        if not 0 <= tokens <= self.points[-1][0]:
            return None
        after = next(at for at, (count, _) in enumerate(self.points) if count >= tokens)
        if after == 0:
            return self.points[0][1]
        (first, high), (last, low) = self.points[after - 1 : after + 1]
        begun, ended, here = (math.log1p(count) for count in (first, last, tokens))
        return high + (here - begun) / (ended - begun) * (low - high)


@functools.cache
def reference_curves() -> tuple[ReferenceCurve, ...]:
    """All that ship with vidya."""
    return tuple(
        ReferenceCurve(
            one["preset"], one["recipe"], one["text"],
            tuple((int(tokens), float(bits)) for tokens, bits in one["points"]),
        )
        for one in json.loads(FILE.read_text(encoding="utf-8"))
    )  # fmt: skip


def reference_curve(preset: object, recipe: object) -> ReferenceCurve | None:
    """The curve of a preset by a recipe; None where none was measured."""
    return next(
        (one for one in reference_curves() if (one.preset, one.recipe) == (preset, recipe)), None
    )
