"""The page of `vidya.train --help`: its examples, and its options in groups."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence

from vidya.model.presets import PRESETS, Preset
from vidya.terminal.help_page import HelpPage

GROUPS: dict[str, tuple[str, ...]] = {
    "basic": ("preset", "data", "minutes", "steps", "out", "resume", "overwrite"),
    "model": ("n_embd", "n_layer", "n_head", "context", "merges", "tokenizer", "init"),
    "learning": (
        "lr", "warmup", "lr_floor", "dropout", "tokens_per_step", "passes", "seed",
    ),
    "measuring and saving": (
        "val", "val_fraction", "eval_every", "samples", "checkpoint_every", "keep",
    ),
    "expert": (
        "split_digits", "docs_per_step", "beta1", "beta2", "eps", "clip", "on_spike", "precision",
        "threads", "eval_tokens", "tensorboard", "profile", "verbose",
    ),
}  # fmt: skip
EXAMPLES = (
    ("--preset nano --minutes 2", "a first small model, in two minutes"),
    ("--data chats.txt --minutes 60", "a model of your own conversations, in an hour"),
    ("--resume --out runs/10m", "go on where a run was stopped"),
)


def train_page(examples: Sequence[tuple[str, str]] = EXAMPLES) -> HelpPage:
    """The page of a command that has the options of a training."""
    return HelpPage(tuple(examples), GROUPS, preset_defaults(sys.argv[1:]))


def preset_defaults(words: Sequence[str]) -> dict[str, str]:
    """What options are that the preset decides: of the preset that a command line names.

    Args:
        words: the command line.
    """
    named = [word.removeprefix("--preset=") for word in words]
    named += [after for word, after in itertools.pairwise(words) if word == "--preset"]
    name = next((word for word in reversed(named) if word in PRESETS), "10m")
    its: Preset = PRESETS[name]
    values = {
        "n_embd": its.n_embd, "n_layer": its.n_layer, "n_head": its.n_head,
        "context": its.context, "merges": its.merges, "lr": its.peak_lr,
    }  # fmt: skip
    told = {field: f"the preset's: {value:g}" for field, value in values.items()}
    steps = f"the preset's: {its.warmup_steps:,}, at most a tenth of the run"
    return told | {"warmup": steps}
