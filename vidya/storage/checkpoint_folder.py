"""The checkpoints of a run folder: their names, how many stay, and the room they need."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from vidya.errors import UserError
from vidya.storage.checkpoint_format import (
    CheckpointError,
    read_meta,
)
from vidya.terminal.formatting import byte_size

StrPath = str | os.PathLike[str]


def prune(folder: StrPath, base: str, keep: int, milestone: int | None = None) -> list[Path]:
    """Delete old training checkpoints; returns the deleted paths.

    The newest `keep` that look whole (header and length) stay, and everything
    newer than the last of them. With fewer whole ones nothing is deleted. Those of
    the steps that `milestone` divides stay for good.
    """
    if keep < 1:
        raise UserError(f"at least 1 checkpoint must be kept, not {keep}")
    whole = 0
    deleted = []
    for path in training_checkpoints(folder, base):
        if whole == keep:
            if milestone and (step_of_name(path.name, base) or 0) % milestone == 0:
                continue
            path.unlink(missing_ok=True)
            deleted.append(path)
        elif _looks_whole(path):
            whole += 1
    return deleted


def _looks_whole(path: Path) -> bool:
    try:
        read_meta(path)
    except CheckpointError:
        return False
    return True


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


MILESTONE = 10
"""Of so many checkpoints one is never deleted."""
_NUMBER_BYTES = 4  # float32
_HEADER_BYTES = 24_000  # names, options and what the spike guard remembers
_LINE_BYTES = 200  # of metrics, a step


def milestone_steps(every: int) -> int:
    """Steps between checkpoints that are never deleted."""
    return MILESTONE * every


def checkpoints_of_run(total_steps: int, every: int, keep: int) -> int:
    """Training checkpoints that a run has on the disk at most, the one being written apart.

    However often it is interrupted, each time with a checkpoint: these count among the
    newest.
    """
    return keep + (total_steps - 1) // milestone_steps(every)


def training_checkpoint_bytes(parameters: int) -> int:
    """Size of a training checkpoint of a model: its parameters and both Adam moments."""
    return 3 * _NUMBER_BYTES * parameters + _HEADER_BYTES


def run_bytes(parameters: int, total_steps: int, every: int, keep: int) -> int:
    """Bytes that a run writes and leaves at most: checkpoints, final weights, metrics.

    The one being written before an old one goes is counted. Tokenizer and token caches
    are not: they stand there before the run begins.
    """
    saves = -(-total_steps // every)
    at_once = min(saves, checkpoints_of_run(total_steps, every, keep) + 1)
    final = _NUMBER_BYTES * parameters + _HEADER_BYTES
    return at_once * training_checkpoint_bytes(parameters) + final + total_steps * _LINE_BYTES


def require_room(
    folder: Path, base: str, *, parameters: int, total_steps: int, every: int, keep: int
) -> None:
    """Refuse a run whose checkpoints will not fit on the disk: better now than in a week.

    Args:
        folder: the run folder. Training checkpoints of `base` in it are part of the run.
        base: stem of their names.
        parameters: of the model.
        total_steps: length of the run.
        every: steps between checkpoints.
        keep: as `--keep`.

    Raises:
        UserError: it says what is needed, what is free, and how to need less.
    """
    there = sum(path.stat().st_size for path in training_checkpoints(folder, base))
    needed = run_bytes(parameters, total_steps, every, keep) - there
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"the run's checkpoints need {byte_size(needed)} in {folder}, where "
            f"{byte_size(free)} are free: free some space, use another --out, a smaller --keep "
            f"(now {keep}) or a larger --checkpoint-every (now {every:,})"
        )


def base_of(path: Path) -> str:
    """Stem that the checkpoint's name starts with: `BASE` of `BASE_10k.bin`."""
    stem = path.stem
    prefix, _, suffix = stem.rpartition("_")
    if prefix and (suffix == "train" or step_of_name(path.name, prefix) is not None):
        return prefix
    return stem
