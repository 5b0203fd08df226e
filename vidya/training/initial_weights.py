"""Weights that a fresh run begins with instead of random ones: `vidya.train --init`.

The checkpoint brings its architecture and its tokenizer along; the run's step, its
optimizer and its data order begin anew.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidya.errors import UserError
from vidya.model.config import ModelConfig
from vidya.model.presets import preset
from vidya.storage.checkpoint_format import CheckpointError, read_digest
from vidya.storage.pretrained import load_pretrained
from vidya.text.tokenizer import Tokenizer
from vidya.training.options import TrainOptions

ARCHITECTURE = ("n_embd", "n_layer", "n_head", "context")
"""What the options may not contradict; the vocabulary is the tokenizer's."""


@dataclass(frozen=True)
class InitialWeights:
    """A model to begin with."""

    flat: NDArray[Any]
    """All parameters, in the order of the model's own buffer."""
    config: ModelConfig
    preset: str
    """The preset that the checkpoint was named after."""
    tokenizer: Tokenizer
    origin: dict[str, str]
    """`path` and `digest` of the checkpoint: what a run says of where it began."""

    def defaults(self) -> TrainOptions:
        """The options of a training that begins here and is told nothing else."""
        base = preset(self.preset)
        sizes = {name: getattr(self.config, name) for name in ARCHITECTURE}
        own = {name: size for name, size in sizes.items() if size != getattr(base, name)}
        name: Any = self.preset  # which `preset` has found
        tokenizer = self.tokenizer
        return TrainOptions(
            preset=name, merges=tokenizer.merges, split_digits=tokenizer.splits_digits, **own
        )

    def require_same(self, options: TrainOptions) -> None:
        """Refuse options that ask for another model than this one.

        Raises:
            UserError: names what differs, with both values.
        """
        asked = options.model_config(self.config.vocab_size)
        pairs = {name: (getattr(self.config, name), getattr(asked, name)) for name in ARCHITECTURE}
        pairs["merges"] = (self.tokenizer.merges, options.n_merges())
        pairs["split_digits"] = (self.tokenizer.splits_digits, options.split_digits)
        differences = [f"{name} is {a} there, {b} here" for name, (a, b) in pairs.items() if a != b]
        if differences:
            raise UserError(
                f"--init {self.origin['path']}: {'; '.join(differences)}: leave --preset and such "
                "options out, or grow the model first with python -m vidya.expand"
            )

    def require_tokenizer(self, tokenizer: Tokenizer, path: Path | None) -> None:
        """Refuse a tokenizer from `path` that is not the model's own."""
        if tokenizer.hash != self.tokenizer.hash:
            raise UserError(
                f"--tokenizer {path} is not the one that {self.origin['path']} was trained with: "
                "leave it out, or give the model other tokens first with python -m vidya.expand "
                "--tokenizer"
            )

    def require_outside(self, folder: Path) -> None:
        """Refuse a run folder that holds the checkpoint: a fresh run would delete it."""
        if Path(self.origin["path"]).resolve().parent == folder.resolve():
            raise UserError(
                f"--init {self.origin['path']} lies in the folder of the run to begin: "
                "choose another --out"
            )


def load_initial_weights(path: str | os.PathLike[str]) -> InitialWeights:
    """The weights of a checkpoint, or of a run folder's best one.

    Raises:
        UserError: there is no model or no tokenizer beside it.
        CheckpointError: it is damaged, holds NaN, or does not belong to that tokenizer.
    """
    pretrained = load_pretrained(path)
    name = str(pretrained.checkpoint_path)
    for parameter, values in pretrained.model.parameters.items():
        if not np.isfinite(values).all():
            raise CheckpointError(
                f"{name}: {parameter} holds NaN or infinity: use another checkpoint"
            )
    return InitialWeights(
        pretrained.model.flat,
        pretrained.model.config,
        pretrained.meta.get("preset", TrainOptions().preset),
        pretrained.tokenizer,
        {"path": name, "digest": read_digest(name)},
    )
