"""The named recipes: how weights are drawn and learn; the shape of a model is the same in all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from vidya.model.learning_rate import Decay

RecipeName = Literal["plan", "fast"]
"""Their names, for command lines."""


@dataclass(frozen=True)
class InitialStds:
    """Standard deviations of fresh matrices."""

    embedding: float
    """Of the token embedding, which is the output matrix too."""
    hidden: float
    """Of matrices that read from the residual stream."""
    residual: float
    """Of those that write into it: the outputs of attention and of the feed-forward."""


@dataclass(frozen=True)
class Recipe:
    """What a training does where its options do not say otherwise."""

    embedding_std: float
    hidden_std: float
    """At a width of 1, where `by_width`; else at every width."""
    by_width: bool
    """Whether fresh hidden matrices shrink with the width d: std = hidden_std / √d."""
    dropout: float
    beta1: float
    beta2: float
    decay: Decay
    embedding_lr_scale: float
    """What the learning rate is multiplied by for the token embedding."""

    def initial_stds(self, n_embd: int, n_layer: int) -> InitialStds:
        """What fresh matrices of a shape are drawn with; residual: hidden / √(2L), as GPT-2's."""
        hidden = self.hidden_std / math.sqrt(n_embd) if self.by_width else self.hidden_std
        return InitialStds(self.embedding_std, hidden, hidden / math.sqrt(2 * n_layer))


RECIPES: dict[str, Recipe] = {
    "plan": Recipe(
        embedding_std=0.08, hidden_std=0.08, by_width=False, dropout=0.1, beta1=0.9, beta2=0.999,
        decay="cosine", embedding_lr_scale=1.0,
    ),
    "fast": Recipe(
        embedding_std=0.02, hidden_std=0.64, by_width=True, dropout=0.0, beta1=0.9, beta2=0.999,
        decay="linear", embedding_lr_scale=5.0,
    ),
}  # fmt: skip
