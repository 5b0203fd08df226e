"""Which checkpoint a command uses: of a file, a run folder, or the newest run."""

from __future__ import annotations

from pathlib import Path

from vidya.errors import UserError
from vidya.storage.checkpoint_folder import base_of, step_of_name, training_checkpoints
from vidya.storage.checkpoint_format import read_meta
from vidya.storage.run_files import RunFiles
from vidya.system.atomic_file import StrPath

RUNS = "runs"
"""Where runs go by default, relative to the current folder."""


def newest_run(root: StrPath = RUNS) -> Path:
    """The folder in `root` whose checkpoints or metrics were written to last.

    Raises:
        UserError: there is no run in `root`.
    """
    runs = _runs(Path(root))
    if not runs:
        raise UserError(f"no run in {root}/: start one with `python -m vidya.train`")
    return max(runs, key=_last_written)


def resolve_model(path: StrPath | None = None, root: StrPath = RUNS) -> tuple[Path, Path]:
    """The checkpoint and the tokenizer that a command should use.

    In a run folder that is `BASE_train.bin` if it is there; else `BASE.bin`, or
    the newest training checkpoint where that has more steps behind it (or as many,
    and was written later). The files are not verified: loading them does that.

    Args:
        path: a checkpoint, a run folder, or None for the newest run in `root` that
            has a checkpoint.
        root: where runs are.

    Returns:
        Paths of the checkpoint and of `tokenizer.json` beside it.

    Raises:
        UserError: there is no such file, no checkpoint, or no tokenizer beside it.
    """
    checkpoint = _find_checkpoint(None if path is None else Path(path), Path(root))
    tokenizer = RunFiles(checkpoint.parent).tokenizer
    if not tokenizer.is_file():
        raise UserError(
            f"no tokenizer.json beside {checkpoint}: copy the one it was trained with there"
        )
    return checkpoint, tokenizer


def _find_checkpoint(path: Path | None, root: Path) -> Path:
    if path is None:
        runs = [run for run in _runs(root) if _checkpoints(run)]
        if not runs:
            raise _no_model(root)
        path = max(runs, key=_last_written)
    if path.is_dir():
        return _best_checkpoint(path)
    if not path.exists():
        raise UserError(f"there is no {path}: name a checkpoint or a run folder")
    return path


def _best_checkpoint(folder: Path) -> Path:
    names = _checkpoints(folder)
    if not names:
        raise _no_model(folder)
    # Two presets may have been trained into one folder: the last one counts.
    base = base_of(max(names, key=_written))
    run = RunFiles(folder)
    finetuned = run.finetuned(base)
    if finetuned.exists():
        return finetuned
    final = run.checkpoint(base)
    during = training_checkpoints(folder, base)
    if not during:
        return final
    if not final.exists():
        return during[0]
    return max(final, during[0], key=lambda path: _progress(path, base))


def _progress(path: Path, base: str) -> tuple[int, int]:
    """Steps of training behind a checkpoint, then when it was written."""
    step = step_of_name(path.name, base)
    if step is None:
        step = int(read_meta(path).get("step") or 0)
    return step, _written(path)


def _checkpoints(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.bin") if not path.name.startswith(".")]


def _runs(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return [path for path in root.iterdir() if path.is_dir() and _last_written(path)]


def _last_written(run: Path) -> int:
    """Time (ns) of the last write to the run's checkpoints or metrics; 0 without any."""
    return max(map(_written, [*_checkpoints(run), RunFiles(run).metrics]))


def _written(path: Path) -> int:
    """Time (ns) of the last write to a file; 0 if it is not there (any more)."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _no_model(where: Path) -> UserError:
    return UserError(f"no trained model in {where}/: train one with `python -m vidya.train`")
