"""Where the results of a changed model go: its own run folder, or one that `--out` names.

The folder that `--out` names becomes a run folder of its own: it gets the tokenizer, the token
caches (a second name of the same files, where the file system can do that) and the record of the
training. The model's folder is only read, so it may be read-only.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from vidya.errors import UserError
from vidya.storage.checkpoint_folder import base_of, finetuned_name
from vidya.storage.own_files import is_checkpoint
from vidya.storage.run_files import RunFiles
from vidya.storage.run_folder import RunFolder
from vidya.system.atomic_file import atomic_copy, atomic_write
from vidya.text.tokenizer import Tokenizer


def is_apart(checkpoint: Path, out: Path | None) -> bool:
    """Whether results go to another folder than the checkpoint's."""
    return out is not None and out.resolve() != checkpoint.parent.resolve()


@contextlib.contextmanager
def results_folder(checkpoint: Path, out: Path | None) -> Iterator[RunFolder]:
    """The folder that results go to, locked until the block ends.

    Args:
        checkpoint: of the model that will change.
        out: as `--out` says; None: the folder of the checkpoint.

    Raises:
        PlaceError: as `RunFolder`.
        UserError: the folder of the checkpoint cannot be written to, or `out` holds another run.
    """
    apart = is_apart(checkpoint, out)
    path = out if apart and out is not None else checkpoint.parent
    if not apart and not os.access(path, os.W_OK | os.X_OK):
        raise UserError(
            f"cannot write to {path}, where the results would go: name another folder with --out"
        )
    is_new = not path.exists()
    if apart:
        _require_no_other_run(checkpoint, path)
    with RunFolder(path) as folder:
        try:
            yield folder
        finally:
            if is_new and [one.name for one in path.iterdir()] == [folder.lock.name]:
                folder.lock.unlink()  # nothing came of it
                path.rmdir()


def furnish(folder: RunFolder, checkpoint: Path) -> None:
    """Make a folder of results apart from the model's own one a run folder; else do nothing."""
    if not is_apart(checkpoint, folder.path):
        return
    own = RunFiles(checkpoint.parent)
    atomic_copy(own.tokenizer, folder.tokenizer)
    for source, target in (
        (own.train_tokens, folder.train_tokens),
        (own.held_out_tokens, folder.held_out_tokens),
    ):
        if source.exists() and not target.exists():
            atomic_copy(source, target)
    if own.metrics.exists() and not folder.metrics.exists():
        with open(own.metrics, "rb") as lines:  # a second name would be added to
            atomic_write(folder.metrics, lambda file: shutil.copyfileobj(lines, file))


def _require_no_other_run(checkpoint: Path, path: Path) -> None:
    """Refuse a folder with another run than what was made of this checkpoint before."""
    if not path.is_dir():
        return
    changed = Path(finetuned_name(base_of(checkpoint)))
    others = [
        one
        for one in sorted(path.glob("*.bin"))
        if is_checkpoint(one)
        and one.name != changed.name
        and not one.name.startswith(f"{changed.stem}.")
    ]
    if others:
        raise UserError(f"{path} holds another run ({others[0].name}): give a new folder as --out")
    there, wanted = (RunFiles(one).tokenizer for one in (path, checkpoint.parent))
    if there.exists() and Tokenizer.load(there).hash != Tokenizer.load(wanted).hash:
        raise UserError(f"{there} is another tokenizer: give a new folder as --out")
