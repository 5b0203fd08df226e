"""A file or folder that appears under its name when it is whole, and not at all otherwise.

It is made in a temporary folder beside its place, flushed to the disk and renamed. The temporary
folder is locked (`flock`) while it is in use, and the lock dies with the process: so what a killed
process left behind is told from what another one is writing, and cleared away.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from vidya.errors import PlaceError
from vidya.system.atomic_file import cannot_write, sync_folder
from vidya.system.stop_signal import leaving_at_signals


@contextlib.contextmanager
def appearing_output(out: Path) -> Iterator[Path]:
    """Give a path to make a file or a folder at; when the block ends it is renamed to `out`.

    Folders above `out` are made. If the block raises, nothing is left of it but those.

    Args:
        out: where it goes: nothing is there yet, or an empty folder.

    Raises:
        PlaceError: the disk is full, or nothing can be written there.
    """
    out = out.absolute()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{out.name}.tmp-"
        _remove_leftovers(out.parent, prefix)
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=out.parent))
        lock = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise cannot_write(out, error) from error
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        with leaving_at_signals():
            yield folder / out.name
        _flush(folder / out.name)
        os.replace(folder / out.name, out)
        sync_folder(out.parent)
    except OSError as error:
        raise cannot_write(out, error) from error
    except PlaceError as error:  # of a file in the temporary folder, which tells nobody anything
        if isinstance(error.__cause__, OSError):
            raise cannot_write(out, error.__cause__) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _remove_leftovers(parent: Path, prefix: str) -> None:
    """Delete the temporary folders of processes that were killed."""
    for path in parent.iterdir():
        if path.name.startswith(prefix) and path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError):
                lock = os.open(path, os.O_RDONLY)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path, ignore_errors=True)
                finally:
                    os.close(lock)


def _flush(path: Path) -> None:
    """Bring a file, or a folder with all that is in it, to the disk."""
    if path.is_dir():
        for inside in sorted(path.iterdir()):
            _flush(inside)
        sync_folder(path)
    else:
        with open(path, "rb") as file:
            os.fsync(file.fileno())
