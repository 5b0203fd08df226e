"""How the next token is drawn: the settings, which vidya/generation/sampling.py follows.

No NumPy is needed to describe them: a command that says what is wrong with its options, or
has a checkpoint to open, begins without.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from vidya.errors import UserError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class SamplingSettings:
    """How the next token is drawn."""

    temperature: float = 0.7
    """Below 1 likely tokens become likelier; 0 always takes the likeliest. Small models
    ramble at 1 and repeat themselves near 0."""
    top_k: int = 40
    """Draw from this many of the likeliest tokens; 0 draws from all."""
    seed: int = 0
    """Start of the random stream."""
    top_p: float = 1.0
    """Draw from the fewest likeliest tokens that have this share of the probability
    together; 1 draws from all."""
    min_p: float = 0.0
    """Draw from tokens that are at least this many times as likely as the likeliest."""
    repetition_penalty: float = 1.0
    """Above 1, tokens that came lately become less likely: a logit above 0 is divided by
    this, one below multiplied (Keskar et al. 2019)."""
    repetition_window: int = 64
    """How many tokens count as lately, the prompt's included; 0 counts all."""

    def __post_init__(self) -> None:
        penalty = self.repetition_penalty
        for name, fits, allowed in (
            ("temperature", 0 <= self.temperature < math.inf, "0 or more"),
            ("top_k", self.top_k >= 0, "0 (all tokens) or more"),
            ("seed", 0 <= self.seed < 2**64, "in [0, 2**64)"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("min_p", 0 <= self.min_p <= 1, "between 0 and 1"),
            ("repetition_penalty", 0 < penalty < math.inf, "above 0 (1 penalises nothing)"),
            ("repetition_window", self.repetition_window >= 0, "0 (all tokens) or more"),
        ):
            if not fits:
                raise UserError(f"{name} must be {allowed}, not {getattr(self, name)}")

    @classmethod
    def of(cls, options: object) -> SamplingSettings:
        """The settings that a command's options have by the same names, defaults for the others."""
        names = [field.name for field in fields(cls) if hasattr(options, field.name)]
        return cls(**{name: getattr(options, name) for name in names})

    def rng(self, stream: int = 0) -> np.random.Generator:
        """A fresh random stream that starts at `seed`: the first, or another of its number."""
        import numpy as np

        key = self.seed if stream == 0 else [self.seed, stream]
        return np.random.Generator(np.random.Philox(key))
