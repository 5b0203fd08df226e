"""Deleting a run: every file that vidya wrote to its folder, and nothing else."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from vidya.errors import UserError
from vidya.storage.run_folder import RunFolder, training_process


def require_removable(folder: Path) -> None:
    """Refuse a run that must not be deleted.

    Raises:
        UserError: it is in use, a link, or may not be written to.
    """
    if folder.is_symlink():
        raise UserError(f"{folder} is a link to {os.readlink(folder)}: name that folder")
    if (process := training_process(folder)) is not None:
        who = f" (process {process})" if process else ""
        raise UserError(f"{folder} is in use by another command{who}: stop that one first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"cannot write to folder {folder}: change its permissions")


def remove_run(folder: Path) -> tuple[int, list[str]]:
    """Delete what vidya wrote to a folder, and the folder itself if that is all.

    Returns:
        Bytes that were freed, and the names of what stays.

    Raises:
        UserError: as `require_removable`.
    """
    require_removable(folder)
    freed = 0
    with RunFolder(folder) as run:  # nobody begins to train there meanwhile
        for path in run.own():
            if path != run.lock:
                freed += path.lstat().st_size
                path.unlink()
        with contextlib.suppress(OSError):
            run.board_events.parent.rmdir()
        left = sorted(one.name for one in folder.iterdir() if one != run.lock)
        if not left:
            run.lock.unlink(missing_ok=True)
            folder.rmdir()
    return freed, left
