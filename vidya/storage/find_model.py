"""Which checkpoint a command uses: of a file, a run folder, or the newest run.

Where that could also be another one than the user thinks of, a line says which it is.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vidya.errors import UserError
from vidya.model.presets import PRESETS, checkpoint_base
from vidya.storage.checkpoint_folder import (
    base_of,
    finetuned_name,
    step_of_name,
    training_checkpoints,
)
from vidya.storage.checkpoint_format import CheckpointError, read_digest, read_meta
from vidya.storage.own_files import is_checkpoint
from vidya.storage.run_activity import file_date, last_activity, written_at
from vidya.storage.run_files import EXPORTED_WEIGHTS, RunFiles
from vidya.storage.run_folder import training_process
from vidya.system.atomic_file import StrPath
from vidya.terminal.formatting import plural
from vidya.terminal.streams import say

RUNS = "runs"
"""Where runs go by default, relative to the current folder."""
Say = Callable[[str], None]
_HOW = {"finetuned": "fine-tuned", "taught": "taught", "rl": "trained by reinforcement"}
_COPIED_WITHIN = 60.0
"""Seconds in which a folder is copied."""
_said: set[str] = set()


def say_once(text: str) -> None:
    """Print a line on standard error, unless this process has printed it already.

    A command may ask several times which model is meant.
    """
    if text not in _said:
        _said.add(text)
        say(text)


def newest_run(root: StrPath = RUNS, *, with_metrics: bool = False, tell: Say = say_once) -> Path:
    """The folder in `root` that is being trained in, or was last, by what is recorded there.

    Args:
        root: where runs are.
        with_metrics: pass over folders without metrics, such as that of a model that was only
            expanded, as long as there are others.
        tell: as for `resolve_model`.

    Raises:
        UserError: there is no run in `root`.
    """
    folders = run_folders(Path(root))
    measured = [path for path in folders if RunFiles(path).has_metrics()]
    runs = [path for path in folders if path in measured or checkpoints_in(path)]
    if with_metrics:
        runs = measured or runs
    if not runs:
        raise UserError(f"no run in {root}/: start one with `python -m vidya.train`")
    in_use = [path for path in runs if training_process(path) is not None]
    return _newest(in_use or runs, tell)


def runs_in_use(root: StrPath = RUNS) -> list[Path]:
    """The runs in `root` that are being prepared or trained, the last begun first."""
    some = [path for path in run_folders(Path(root)) if training_process(path) is not None]
    return sorted(some, key=lambda path: file_date(RunFiles(path).lock), reverse=True)


def runs_to_watch(root: StrPath = RUNS) -> list[Path]:
    """Those in use, then those that have measured something, the last worked on first."""
    in_use = runs_in_use(root)
    measured = [
        path for path in run_folders(Path(root))
        if path not in in_use and RunFiles(path).has_metrics()
    ]  # fmt: skip
    by_date = sorted(measured, key=lambda path: last_activity(path, checkpoints_in(path)))
    return [*in_use, *reversed(by_date)]


def resolve_model(
    path: StrPath | None = None, root: StrPath = RUNS, *, tell: Say = say_once
) -> tuple[Path, Path]:
    """The checkpoint and the tokenizer that a command should use.

    In a run folder that is what was made last: `BASE_train.bin`, unless the run went on
    after that; else `BASE.bin`, or the newest training checkpoint where that has more steps
    behind it (or as many, and was written later). Other programs' files do not count. The
    files are not verified: loading them does that.

    Args:
        path: a checkpoint, a run folder, a folder that `vidya.export --to hf` wrote, or None for
            the newest run in `root` that has a checkpoint.
        root: where runs are.
        tell: takes a line that says what was chosen where that was not the only choice.

    Returns:
        Paths of the checkpoint and of `tokenizer.json` beside it.

    Raises:
        UserError: there is no such file, no checkpoint, or no tokenizer beside it.
    """
    checkpoint = _find_checkpoint(None if path is None else Path(path), Path(root), tell)
    tokenizer = RunFiles(checkpoint.parent).tokenizer
    if not tokenizer.is_file():
        raise UserError(
            f"no tokenizer.json beside {checkpoint}: copy the one it was trained with there"
        )
    return checkpoint, tokenizer


def furthest_checkpoint(folder: Path, base: str) -> Path | None:
    """`BASE.bin` or the training checkpoint with the most steps behind it; None if neither is."""
    final = RunFiles(folder).checkpoint(base)
    some = [*training_checkpoints(folder, base)[:1], *([final] if final.exists() else [])]
    return max(some, key=lambda path: _progress(path, base), default=None)


def steps_of_run(folder: Path, base: str) -> int:
    """How far the run in a folder has come, apart from what was made of it; 0 if not known."""
    furthest = furthest_checkpoint(folder, base)
    return 0 if furthest is None else _progress(furthest, base)[0]


def _find_checkpoint(path: Path | None, root: Path, tell: Say) -> Path:
    if path is None:
        runs = [run for run in run_folders(root) if any(map(is_checkpoint, checkpoints_in(run)))]
        if not runs:
            raise _no_model(root)
        path = _newest(runs, tell)
    path = _existing(path, root)
    if path.is_dir():
        weights = path / EXPORTED_WEIGHTS
        if is_checkpoint(weights) and not checkpoints_in(path):
            return weights
        return _best_checkpoint(path, tell)
    if path.suffix != ".bin" and path.is_file() and not is_checkpoint(path):
        raise UserError(
            f"{path} is no model: name a run folder or a checkpoint in one "
            f"(`python -m vidya.list` lists yours){_of_text(path)}"
        )
    read_meta(path)  # says of a file of another program that it is none
    return path


def named_folder(path: Path, root: StrPath = RUNS) -> Path:
    """The run folder that somebody names: its path, or its name in `root`.

    Raises:
        UserError: there is none.
    """
    found = _existing(path, Path(root))
    if not found.is_dir():
        raise UserError(f"{found} is no folder: name a run folder")
    return found


def by_name(path: Path, root: StrPath = RUNS) -> Path:
    """A path, or the folder of that name in `root` where there is none but that."""
    if path.exists() or path.is_symlink() or path.name != str(path):
        return path
    in_root = Path(root) / path
    return in_root if in_root.exists() else path


def _existing(path: Path, root: Path) -> Path:
    """A path that is there, or the folder of that name in `root`."""
    path = by_name(path, root)
    if path.exists() or path.is_symlink():
        return path
    names = [one.name for one in run_folders(root)]
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.7)
    advice = f"did you mean {root / close[0]}?" if close else "name a checkpoint or a run folder"
    listed = f" ({', '.join(names[:5])})" if names and not close else ""
    raise UserError(f"there is no {path}: {advice}{listed}")


def _of_text(path: Path) -> str:
    """What to do with a text that was taken for a model."""
    if path.suffix.lower() in (".txt", ".json", ".jsonl", ".csv", ".md"):
        return (
            f"; to teach a model what is in it: python -m vidya.finetune {shlex.quote(str(path))}"
        )
    return ""


def _best_checkpoint(folder: Path, tell: Say) -> Path:
    some = checkpoints_in(folder)
    if not some:
        raise _no_model(folder)
    # Two presets may have been trained into one folder: the last one counts.
    base = base_of(max(some, key=written_at))
    if others := sorted({base_of(path) for path in some} - {base}):
        tell(f"{folder} also holds {', '.join(others)}: using {base}, which was written last")
    finetuned, furthest = RunFiles(folder).finetuned(base), furthest_checkpoint(folder, base)
    if furthest is None or not finetuned.exists():
        return furthest or finetuned
    with contextlib.suppress(CheckpointError):  # damaged: loading it says so
        about = read_meta(finetuned)
        steps = _progress(furthest, base)[0]
        if _moved_on(about, finetuned, furthest, steps):
            how = _HOW.get(str(about.get("kind")), "made")
            tell(
                f"{finetuned.name} was {how} from step {about.get('step', 0):,}; the run is at "
                f"step {steps:,} since: using {furthest.name}; name the file to use the other"
            )
            return furthest
    return finetuned


def _moved_on(about: dict[str, Any], finetuned: Path, furthest: Path, steps: int) -> bool:
    """Whether a run went on after changed weights had been made of it."""
    run_step = about.get("run_step")
    if isinstance(run_step, int):
        return steps > run_step
    # Of an earlier version, which did not record how far the run was then. Made of a checkpoint
    # in the middle it is later than the run's end, by more than what copying a folder makes.
    later = written_at(finetuned) - written_at(furthest)
    return steps > int(about.get("step") or 0) and later < _COPIED_WITHIN


def _progress(path: Path, base: str) -> tuple[int, float]:
    """Steps of training behind a checkpoint, then when it was written."""
    step = step_of_name(path.name, base)
    if step is None:
        step = int(read_meta(path).get("step") or 0)
    return step, written_at(path)


def checkpoints_in(folder: Path) -> list[Path]:
    """What is named as a checkpoint of a preset, and all others that vidya wrote.

    Those that were set aside are only used when somebody names them.
    """
    named = [checkpoint_base(preset) for preset in PRESETS]
    found = []
    for path in sorted(folder.glob("*.bin")):
        base = base_of(path)
        changed = path.name.startswith(f"{base}_train")
        if path.name.startswith(".") or (changed and path.name != finetuned_name(base)):
            continue
        if path.is_file() and (base in named or is_checkpoint(path)):
            found.append(path)
    return found


def run_folders(root: Path) -> list[Path]:
    """The folders in `root`, each once: a link to one of the others is no other run."""
    there = sorted(root.iterdir()) if root.is_dir() else []
    some = [path for path in there if path.is_dir() and os.access(path, os.R_OK | os.X_OK)]
    real = {path.resolve() for path in some if not path.is_symlink()}
    return [path for path in some if not path.is_symlink() or path.resolve() not in real]


def _newest(runs: list[Path], tell: Say) -> Path:
    """The run that was worked on last; of two folders with the same run the older one."""
    if len(runs) == 1:
        return runs[0]
    content = {run: _content(run) for run in runs}
    alike = {
        run: [other for other in runs if other == run or content[other] == content[run] != ""]
        for run in runs
    }
    when = {run: last_activity(run, checkpoints_in(run)) for run in runs}
    # where nothing is recorded, a copy has the date of its copying: the first of them counts
    newest = max(runs, key=lambda run: min(when[other] for other in alike[run]))
    same = alike[newest]
    if len(same) == 1:
        return newest
    original = min(same, key=_age)
    copies = ", ".join(str(run) for run in same if run != original)
    tell(f"{copies} holds the same run as {original}: using {original}; name the other to use it")
    return original


def _content(run: Path) -> str:
    """What names the model that a run has come to; nothing where it has none yet."""
    with contextlib.suppress(UserError):
        some = checkpoints_in(run)
        return read_digest(_best_checkpoint(run, lambda _: None)) if some else ""
    return ""


def _age(run: Path) -> tuple[float, float]:
    """Dates of the files in a run folder: those of a copy are later, at least of its inodes."""
    some = [
        path.stat() for path in (*checkpoints_in(run), RunFiles(run).tokenizer) if path.exists()
    ]
    return max(one.st_mtime for one in some), max(one.st_ctime for one in some)


def _no_model(where: Path) -> UserError:
    inside = [run.name for run in run_folders(where) if checkpoints_in(run)]
    if inside:
        return UserError(
            f"{where}/ holds {plural(len(inside), 'model')} ({', '.join(inside[:8])}"
            f"{' …' if len(inside) > 8 else ''}): name one, such as {where / inside[0]}"
        )
    return UserError(f"no trained model in {where}/: train one with `python -m vidya.train`")
