"""Files that only grow, a line at a time, and of which a crash loses no whole line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from vidya.system.atomic_file import StrPath, make_own

Self = TypeVar("Self", bound="LineFile")


class LineFile:
    """Appends lines to a file; use it as a context manager.

    A line is handed to the system at once: a process that is killed leaves at most one torn,
    which the next one to open the file removes. One writer at a time: the run folder's lock
    sees to that.
    """

    def __init__(
        self,
        path: StrPath,
        *,
        create: bool = True,
        is_whole: Callable[[bytes], bool] = lambda line: False,
    ) -> None:
        """Open a file and mend its last line.

        Args:
            path: the file.
            create: whether it is made if it is not there.
            is_whole: whether a last line that has no end may stay; it gets one then.

        Raises:
            OSError: it cannot be opened.
        """
        self.path = Path(path)
        make_own(self.path)
        flags = os.O_RDWR | os.O_APPEND | (os.O_CREAT if create else 0)
        self._file = os.open(path, flags, 0o666)
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            last = self.path.read_bytes().rpartition(b"\n")[2]
            if is_whole(last):
                os.write(self._file, b"\n")
            else:
                os.ftruncate(self._file, size - len(last))

    def append(self, line: bytes, *, sync: bool = False) -> None:
        """Add a line, given with its end; `sync`: it is on the disk when this returns.

        Raises:
            OSError: the disk is full, for example; the lines before stay as they were.
        """
        before = os.fstat(self._file).st_size
        try:
            while line:
                line = line[os.write(self._file, line) :]
            if sync:
                self.sync()
        except OSError:
            os.ftruncate(self._file, before)
            raise

    def sync(self) -> None:
        """Flush to the disk, so that a power cut keeps the lines."""
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file; further writes are errors."""
        os.close(self._file)

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
