"""What the checkpoints of a folder are called, and which of them are from training."""

from __future__ import annotations

import os
import re
from pathlib import Path

StrPath = str | os.PathLike[str]

_STEP = re.compile(r"_(\d+)(k?)\.bin")


def checkpoint_name(base: str, step: int | None = None) -> str:
    """File name of the checkpoint after `step` steps, or of the final weights for None.

    `BASE_10k.bin` for 10,000, `BASE_1500.bin` for 1,500, `BASE.bin` for None.
    """
    if step is None:
        return f"{base}.bin"
    if step and step % 1000 == 0:
        return f"{base}_{step // 1000}k.bin"
    return f"{base}_{step}.bin"


def finetuned_name(base: str) -> str:
    """File name of the weights after fine-tuning or teaching: `BASE_train.bin`."""
    return f"{base}_train.bin"


def step_of_name(name: str, base: str) -> int | None:
    """Step of the training checkpoint called `name`; None if it is not one of `base`."""
    match = _STEP.fullmatch(name.removeprefix(base))
    if match is None:
        return None
    step = int(match[1]) * (1000 if match[2] else 1)
    return step if checkpoint_name(base, step) == name else None


def training_checkpoints(folder: StrPath, base: str) -> list[Path]:
    """The checkpoints of `base` written during training, newest step first."""
    steps = {
        path: step
        for path in Path(folder).iterdir()
        if (step := step_of_name(path.name, base)) is not None
    }
    return sorted(steps, key=lambda path: steps[path], reverse=True)
