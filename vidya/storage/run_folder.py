"""The folder of a training run, and who may write to it: one process at a time.

That holds a lock on `.lock`, which ends with its process, however that ends. What the other
files are called stands in vidya/storage/run_files.py.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from vidya.errors import PlaceError
from vidya.storage.checkpoint_format import CheckpointError, read_meta
from vidya.storage.own_files import in_words
from vidya.storage.run_files import RunFiles
from vidya.system.atomic_file import StrPath, remove_stale
from vidya.terminal.formatting import duration

_held: set[int] = set()
"""Descriptors of the locks this process holds."""


def _drop_locks_in_child() -> None:
    """A forked child closes its copies, or it would hold the lock after we are gone."""
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_drop_locks_in_child)


class RunFolder(RunFiles):
    """A folder that one training writes to.

    `with RunFolder(path) as run:` holds the folder's lock inside the block and
    clears away temporary files that killed processes left in it.

    Raises:
        PlaceError: the folder cannot be made or written to, or (on entering) another
            process holds its lock, or somebody else's file has the name of one of vidya's.
    """

    def __init__(self, path: StrPath) -> None:
        super().__init__(path)
        self._is_new = not self.path.exists()
        self._new_parents = [one for one in self.path.parents if not one.exists()]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise PlaceError(f"{path} is not a folder", "name another") from error
        except OSError as error:
            reason = f"cannot create folder {path}: {error.strerror}"
            raise PlaceError(reason, "check the permissions above it") from error
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise PlaceError(f"cannot write to folder {path}", "change its permissions")
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock and clear away what killed processes left half-written."""
        self._require_own()
        try:
            descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            reason = f"cannot write to folder {self.path}: {error.strerror}"
            raise PlaceError(reason, "change its permissions") from error
        try:
            _lock_patiently(descriptor)
        except BlockingIOError as error:
            owner = os.pread(descriptor, 32, 0).partition(b"\n")[0].decode(errors="replace")
            os.close(descriptor)
            user = f"another training (process {owner.strip() or 'unknown'})"
            raise PlaceError(
                f"{self.path} is in use by {user}", "stop that one first", ", or "
            ) from error
        except OSError:
            # A file system without locks must not keep anyone from training.
            pass
        self._descriptor = descriptor
        _held.add(descriptor)
        self.note_preparing("")
        remove_stale(self.path, self.writes)

    def note_preparing(self, what: str) -> None:
        """Let those who watch know what is prepared before the first step; nothing: no more.

        It stands in the lock's file, behind the number of this process.
        """
        if self._descriptor is None:
            return
        told = f"preparing: {what}\n" if what else ""
        # It serves messages only: a full disk does not matter here.
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n{told}".encode(), 0)

    def noting(self, documents: Iterable[str], what: str, total_bytes: int) -> Iterator[str]:
        """Documents that are prepared; those who watch are told what part of them is done."""
        done, told = 0, -1
        for document in documents:
            done += len(document.encode("utf-8"))
            if (percent := min(100, 100 * done // max(1, total_bytes))) > told:
                told = percent
                self.note_preparing(f"{what} {percent} %")
            yield document

    def _require_own(self) -> None:
        """Refuse a folder in which somebody else's file would be replaced or added to."""
        if others := self.foreign():
            what = "is no file of vidya" if len(others) == 1 else "are no files of vidya"
            them = "it" if len(others) == 1 else "them"
            raise PlaceError(
                f"{in_words(others)} {what} and would be replaced", f"move {them} away", " or "
            )

    def delete_model(self) -> None:
        """Delete all that belongs to the model in the folder, for another to take its place.

        Files that vidya did not write stay.
        """
        for path in self.of_model():
            path.unlink(missing_ok=True)

    def set_aside(self, *paths: Path) -> list[Path]:
        """Rename files, those of them that are there, to the first number that is free for all.

        Returns:
            Their new names.
        """
        number = self.free_number(*paths)
        there = [path for path in paths if path.exists()]
        return [path.replace(self.numbered(path, number)) for path in there]

    def set_finetuned_aside(self, base: str) -> list[Path]:
        """Set aside the changed weights of a model, and the lessons that they were taught.

        Returns:
            Their new names; none where there were no such weights.
        """
        return self.set_aside(*some) if (some := self._finetuned_and_lessons(base)) else []

    def number_for_finetuned(self, base: str) -> int:
        """The number under which `set_finetuned_aside` would set the weights aside."""
        return self.free_number(*self._finetuned_and_lessons(base))

    def _finetuned_and_lessons(self, base: str) -> list[Path]:
        path = self.finetuned(base)
        if not path.exists():
            return []
        taught = False
        with contextlib.suppress(CheckpointError):  # damaged: kept all the same
            taught = read_meta(path).get("kind") == "taught"
        return [path, *([self.lessons_base, self.lessons] if taught else [])]

    def release(self) -> None:
        """Give the lock up; without effect when it is not held."""
        if self._descriptor in _held:
            _held.discard(self._descriptor)
            os.close(self._descriptor)
        self._descriptor = None

    def __enter__(self) -> RunFolder:
        self.acquire()
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is not None and self._is_new:
            with contextlib.suppress(OSError):  # what came of it stays
                if [one.name for one in self.path.iterdir()] == [self.lock.name]:
                    self.lock.unlink()
                    self.path.rmdir()
                    for parent in self._new_parents:
                        parent.rmdir()
        self.release()


def _lock_patiently(descriptor: int) -> None:
    """Take the lock; a glance of `training_process`, which is over at once, is no training."""
    for wait in (0.02, 0.1):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(wait)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def training_process(folder: StrPath) -> int | None:
    """Number of the process that is training in `folder`; 0 if unknown, None if none is."""
    # no folder, or a file system without locks: nobody is known to train
    with contextlib.suppress(OSError), open(RunFiles(folder).lock, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = file.read(32).partition(b"\n")[0].strip()
            return int(owner) if owner.isdigit() else 0
    return None


def preparation(folder: StrPath) -> str:
    """What the process that trains in `folder` prepares, and for how long; nothing: nothing."""
    with contextlib.suppress(OSError):
        lock = RunFiles(folder).lock
        what = lock.read_bytes().partition(b"\n")[2].decode(errors="replace").strip()
        if what and training_process(folder) is not None:
            seconds = max(0.0, time.time() - lock.stat().st_mtime)
            return what if what.endswith("%") else f"{what}, {duration(seconds)} so far"
    return ""
