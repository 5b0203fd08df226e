"""The page of `vidya.train --help`: its examples, and its options in groups."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from vidya.model.presets import PRESETS
from vidya.model.recipes import RECIPES
from vidya.terminal.help_page import HelpPage

GROUPS: dict[str, tuple[str, ...]] = {
    "basic": ("preset", "data", "minutes", "steps", "out", "resume", "overwrite"),
    "model": ("n_embd", "n_layer", "n_head", "context", "merges", "tokenizer", "init"),
    "learning": (
        "recipe", "lr", "warmup", "lr_floor", "dropout", "tokens_per_step", "passes", "seed",
    ),
    "measuring and saving": (
        "val", "val_fraction", "eval_every", "samples", "checkpoint_every", "keep",
    ),
    "expert": (
        "split_digits", "docs_per_step", "embedding_std", "hidden_std", "residual_std", "decay",
        "embedding_lr_scale", "beta1", "beta2", "eps", "clip", "on_spike", "precision", "threads",
        "eval_tokens", "tensorboard", "profile", "verbose",
    ),
}  # fmt: skip
_NUMBERS = ("dropout", "beta1", "beta2", "embedding_lr_scale")
EXAMPLES = (
    ("--preset nano --minutes 2", "a first small model, in two minutes"),
    ("--data chats.txt --minutes 60", "a model of your own conversations, in an hour"),
    ("--resume --out runs/10m", "go on where a run was stopped"),
)


def train_page(examples: Sequence[tuple[str, str]] = EXAMPLES) -> HelpPage:
    """The page of a command that has the options of a training."""
    return HelpPage(tuple(examples), GROUPS, preset_defaults(sys.argv[1:]))


def preset_defaults(words: Sequence[str]) -> dict[str, str]:
    """What options are that preset and recipe decide: those that a command line names.

    Args:
        words: the command line.
    """
    its = PRESETS[_named(words, "--preset", PRESETS) or "10m"]
    recipe = _named(words, "--recipe", RECIPES) or its.recipe
    values = {
        "n_embd": its.n_embd, "n_layer": its.n_layer, "n_head": its.n_head,
        "context": its.context, "merges": its.merges,
    }  # fmt: skip
    told = {field: f"the preset's: {value:g}" for field, value in values.items()}
    told["warmup"] = f"the preset's: {its.warmup_steps:,}, at most a tenth of the run"
    told["recipe"] = f"the preset's: {its.recipe}"
    stds = RECIPES[recipe].initial_stds(its.n_embd, its.n_layer)
    by_recipe = {
        "lr": f"{its.peak_rate(recipe):g}", "decay": RECIPES[recipe].decay,
        **{name: f"{getattr(RECIPES[recipe], name):g}" for name in _NUMBERS},
        **{f"{name}_std": f"{value:.2g}" for name, value in dataclasses.asdict(stds).items()},
    }  # fmt: skip
    return told | {field: f"that of {recipe}: {value}" for field, value in by_recipe.items()}


def _named(words: Sequence[str], option: str, names: Mapping[str, object]) -> Any:
    """The last of `names` that a command line gives an option; None without one."""
    given = [word.removeprefix(f"{option}=") for word in words if word.startswith(f"{option}=")]
    given += [after for word, after in itertools.pairwise(words) if word == option]
    return next((word for word in reversed(given) if word in names), None)
