"""The checkpoints of a run folder: their names, and how many of them stay."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from vidya.errors import UserError
from vidya.storage.checkpoint_format import CheckpointError, read_meta
from vidya.storage.own_files import is_checkpoint_head, is_own
from vidya.system.atomic_file import StrPath

MILESTONE = 10
"""One checkpoint in so many is never deleted."""
_STEP = re.compile(r"_(\d+)(k?)\.bin")
_CHANGED = re.compile(r"(.+)_train(?:\.\d+)?")  # what was set aside has a number


# --- names -------------------------------------------------------------------------


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


def base_of(path: Path) -> str:
    """Stem that the checkpoint's name starts with: `BASE` of `BASE_10k.bin` or `BASE_train.bin`."""
    if changed := _CHANGED.fullmatch(path.stem):
        return changed[1]
    prefix = path.stem.rpartition("_")[0]
    if prefix and step_of_name(path.name, prefix) is not None:
        return prefix
    return path.stem


def training_checkpoints(folder: StrPath, base: str) -> list[Path]:
    """The checkpoints of `base` written during training, newest step first."""
    steps = {
        path: step
        for path in Path(folder).iterdir()
        if (step := step_of_name(path.name, base)) is not None
    }
    return sorted(steps, key=lambda path: steps[path], reverse=True)


# --- how many stay -----------------------------------------------------------------


def milestone_steps(every: int) -> int:
    """Steps between checkpoints that are never deleted."""
    return MILESTONE * every


def checkpoints_of_run(total_steps: int, every: int, keep: int) -> int:
    """Training checkpoints that a run has on the disk at most, the one being written apart.

    However often it is interrupted, each time with a checkpoint: these count among the
    newest.
    """
    return keep + (total_steps - 1) // milestone_steps(every)


def prune(folder: StrPath, base: str, keep: int, milestone: int | None = None) -> list[Path]:
    """Delete old training checkpoints; returns the deleted paths.

    The newest `keep` that look whole (header and length) stay, and everything
    newer than the last of them. With fewer whole ones nothing is deleted. Those of
    the steps that `milestone` divides stay for good, as does what is no checkpoint.
    """
    if keep < 1:
        raise UserError(f"at least 1 checkpoint must be kept, not {keep}")
    whole = 0
    deleted = []
    for path in training_checkpoints(folder, base):
        if whole < keep:
            with contextlib.suppress(CheckpointError):
                read_meta(path)
                whole += 1
        elif (not milestone or (step_of_name(path.name, base) or 0) % milestone) and is_own(
            path, is_checkpoint_head
        ):
            path.unlink(missing_ok=True)
            deleted.append(path)
    return deleted
