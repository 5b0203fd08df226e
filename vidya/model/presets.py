"""The named model sizes, with the training settings that suit them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vidya.errors import UserError
from vidya.model.config import ModelConfig
from vidya.model.recipes import RecipeName


@dataclass(frozen=True)
class Preset:
    """A named model size with the training settings that suit it."""

    n_embd: int
    n_layer: int
    n_head: int
    context: int
    merges: int
    peak_lr: float
    """Of the plan's recipe."""
    fast_peak_lr: float
    """Of the fast recipe."""
    warmup_steps: int
    recipe: RecipeName = "plan"
    """Where none is named."""

    def model(self, vocab_size: int, dropout: float) -> ModelConfig:
        """The preset's architecture for a vocabulary of `vocab_size`."""
        return ModelConfig(
            self.n_embd, self.n_layer, self.n_head, self.context, vocab_size, dropout
        )

    def peak_rate(self, recipe: RecipeName) -> float:
        """Peak learning rate of a recipe."""
        return self.fast_peak_lr if recipe == "fast" else self.peak_lr


PRESETS: dict[str, Preset] = {
    "nano": Preset(128, 4, 4, 256, 1000, 1e-3, 2e-3, 100),
    "starter": Preset(256, 12, 8, 256, 2000, 1e-3, 1e-3, 2000, recipe="fast"),
    "10m": Preset(256, 12, 8, 256, 2000, 1e-3, 1e-3, 2000),
    "25m": Preset(384, 18, 12, 512, 4000, 3e-4, 1e-3, 5000),
    "100m": Preset(512, 32, 16, 1024, 8000, 3e-4, 7e-4, 5000),
}


PresetName = Literal["nano", "starter", "10m", "25m", "100m"]
"""Their names, for command lines."""


def preset(name: str) -> Preset:
    """The preset called `name`; `UserError` names the ones there are."""
    if name not in PRESETS:
        raise UserError(f"unknown preset '{name}': choose one of {', '.join(PRESETS)}")
    return PRESETS[name]


def next_bigger(name: str) -> str | None:
    """The preset that comes after `name` in size; None after the biggest."""
    names = list(PRESETS)
    later = names[names.index(name) + 1 :]
    return next((other for other in later if PRESETS[other].n_embd > PRESETS[name].n_embd), None)


def checkpoint_base(preset_name: str) -> str:
    """Stem of a preset's checkpoint files, as the plan names them."""
    return f"microgpt_chat_{preset_name}_v5"
