"""The disk that a run needs: planned from the size of the model, and asked for before it begins."""

from __future__ import annotations

import shutil
from pathlib import Path

from vidya.errors import UserError
from vidya.storage.checkpoint_folder import checkpoints_of_run, training_checkpoints
from vidya.terminal.formatting import byte_size

_NUMBER_BYTES = 4  # float32
_HEADER_BYTES = 24_000  # names, options and what the spike guard remembers
_LINE_BYTES = 200  # of metrics, a step


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
