"""Writing a file so that it is either the old one or the new one, whatever happens.

`atomic_write` writes to a temporary file in the same folder, flushes it to the
disk and renames it over the target. The temporary of a process that was killed
stays behind; `remove_stale` clears such leftovers away.

A link is replaced itself, and what it points to stays. A device or a pipe (`/dev/stdout`) is
written into.

A temporary is locked (`flock`) for as long as it is being written, and the lock
dies with the process: that, not the process number in its name, is what tells a
leftover from a file in use, so numbers that are used again do no harm.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import json
import os
import re
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from vidya.errors import PlaceError, UserError

StrPath = str | os.PathLike[str]
DISK_FULL = {
    errno.ENOSPC: "disk full",
    errno.EDQUOT: "disk quota used up",
    errno.EFBIG: "file size limit (ulimit -f) reached",
}
"""The system's errors that mean that there is no room, and what to call each."""
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP)
_TEMPORARY = re.compile(r"\.(.+)\.tmp-\d+-\d+")
_counter = itertools.count()


def atomic_write(
    path: StrPath, write: Callable[[BinaryIO], object], size: int | None = None
) -> None:
    """Replace the file at `path` by what `write` puts into the file it is given.

    When this returns, the new content is on the disk under its name. When it
    raises, whatever stood at `path` before is untouched and no temporary is left.

    Args:
        path: the file to write; its folder must exist.
        write: fills an empty binary file, which may be seeked in.
        size: bytes that will be needed, for the message of a full disk.

    Raises:
        PlaceError: the disk or quota is full, or the folder cannot be written to.
    """
    target = Path(path)
    if is_special(target):
        with open(target, "wb") as file:
            write(file)
        return
    try:
        temporary, descriptor = _create_temporary(target)
    except OSError as error:
        raise cannot_write(target, error, size) from error
    try:
        with open(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(descriptor)
            # Inside the `with`: closing gives the lock up, and an unlocked
            # temporary may be removed as a leftover.
            os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise cannot_write(target, error, size) from error
        raise
    sync_folder(target.parent)


def is_special(path: Path) -> bool:
    """Whether there is a device, a pipe or the like at `path`, which no file must replace."""
    with contextlib.suppress(OSError):
        mode = path.stat().st_mode
        its_folder = os.path.abspath(path).split(os.sep)[1:2]
        return its_folder in (["dev"], ["proc"]) or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
    return False


def write_bytes(path: StrPath, content: bytes) -> None:
    """Replace the file at `path` by `content`, as `atomic_write` does."""
    atomic_write(path, lambda file: file.write(content), len(content))


def remember_json(path: Path, content: Any, *, end: str = "") -> None:
    """Write JSON that only saves time, and `end` after it, whole or not at all.

    Raises:
        UserError, OSError: it cannot be written; what stood there stays.
    """
    write_bytes(path, (json.dumps(content, indent=1) + end).encode())


def recall_json(path: Path) -> Any:
    """What `remember_json` wrote; None for a file that is missing or damaged."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def atomic_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system cannot do that."""
    temporary = target.with_name(f".{target.name}.tmp-{os.getpid()}-{next(_counter)}")
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    os.replace(temporary, target)


def make_own(path: Path) -> None:
    """Make a file that is to be added to one of its own, if it has other names.

    Those, as in a copy of the folder that was made with links, keep what they have.
    """
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISREG(path.stat().st_mode) and (path.is_symlink() or path.stat().st_nlink > 1):
            with open(path, "rb") as source:
                atomic_write(path, lambda file: shutil.copyfileobj(source, file))


def remove_stale(folder: StrPath, is_ours: Callable[[str], bool] = lambda name: True) -> list[Path]:
    """Delete the temporaries in `folder` whose writers are dead; return their paths.

    A temporary that some process is writing to is left alone.

    Args:
        folder: where they are.
        is_ours: whether a file of that name, for which the temporary was, is written by us.
    """
    return [
        path
        for path in sorted(Path(folder).iterdir())
        if (match := _TEMPORARY.fullmatch(path.name))
        and is_ours(match[1])
        and _remove_if_unlocked(path)
    ]


def _create_temporary(target: Path) -> tuple[Path, int]:
    """A new, locked file beside `target`: its path and its descriptor."""
    while True:
        name = f".{target.name}.tmp-{os.getpid()}-{next(_counter)}"
        path = target.with_name(name)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:  # left by a dead process that had our number
            continue
        # Where locks are not supported the file stays unlocked, and since
        # `remove_stale` cannot lock it either, nothing removes it.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return path, descriptor
        os.close(descriptor)  # taken for a leftover in the instant before the lock


def _remove_if_unlocked(path: Path) -> bool:
    with contextlib.suppress(OSError), open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()  # unless the writer has renamed it away while we opened it
        return True
    return False


def sync_folder(folder: Path) -> None:
    """Flush a folder's own entries, so that a rename survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def cannot_write(target: Path, error: OSError, size: int | None = None) -> UserError:
    """What to say when `target` could not be written, for which `size` bytes were needed."""
    reason = DISK_FULL.get(error.errno or 0)
    if error.errno in (errno.EMFILE, errno.ENFILE):  # no other place would help
        return UserError(f"cannot write {target}: {error.strerror}: raise the limit (ulimit -n)")
    if reason is None:
        return PlaceError(f"cannot write {target}: {error.strerror}", "check the permissions")
    mend = "raise it" if error.errno == errno.EFBIG else "free some space"
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(target.parent).free
        need = f"{size / 1e6:.1f} MB needed, " if size else ""
        reason += f" ({need}{free / 1e6:.1f} MB free)"
    untouched = f"; the previous {target.name} is untouched" if target.exists() else ""
    return PlaceError(f"{reason} writing {target}", mend, " or ", after=untouched)
