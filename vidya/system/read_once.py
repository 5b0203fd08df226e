"""Inputs that can be read once, such as pipes, as files that can be read again.

A corpus is read several times: to find out whether it can be used, for the tokenizer, for the
token cache. What comes through a pipe (`/dev/stdin`, a FIFO, a shell's `<(zcat x.gz)`) is
therefore copied when it is first opened, into a temporary file without a name, which vanishes
with the process; whoever opens the same input again is given the copy.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from typing import IO, Any

from vidya.errors import UserError
from vidya.system.atomic_file import StrPath

BUFFER = 1 << 18
_STANDARD_INPUT = "/dev/stdin"
_DESCRIPTORS = (_STANDARD_INPUT, "/dev/fd/", "/proc/self/fd/")
_Place = tuple[int, int]
"""Device and inode, by which the system tells inputs apart."""
_copies: dict[_Place, str] = {}
"""Where the copies lie of what this process has read."""
_names: set[str] = set()
"""What the user called them."""
_adopted: dict[str, str] = {}
"""Copies of another process, by the names that it was given."""
_files: list[IO[bytes]] = []  # open for as long as the process lives


def open_file(path: StrPath, say: Callable[[str], None] | None = None) -> io.BufferedReader:
    """Open a user's file for reading from its beginning, however often; `-` is standard input.

    Args:
        path: the file.
        say: takes a line that tells of a copy that is made.

    Raises:
        UserError: it is missing, a folder, a device, a terminal; no place for a copy.
    """
    name = os.fspath(path)
    actual = _STANDARD_INPUT if name == "-" else name
    if name in _adopted:
        return _reader(_adopted[name])
    try:
        found = os.stat(actual)
        _refuse_what_is_no_file(found.st_mode, actual, name)
        if not stat.S_ISFIFO(found.st_mode) and not is_descriptor(name):
            return _reader(actual)
        place = found.st_dev, found.st_ino
        if place not in _copies:
            _copies[place] = _copied(actual, name, say)
        return _reader(_copies[place])
    except OSError as error:
        raise UserError(_unreadable(called(name), error)) from error


def called(name: StrPath) -> str:
    """What an input is called in a message: its name, but `-` what it stands for."""
    return "standard input" if os.fspath(name) == "-" else os.fspath(name)


def _unreadable(name: str, error: OSError) -> str:
    """Why an input cannot be read, with the file nearby that may have been meant."""
    if not isinstance(error, FileNotFoundError):
        return f"cannot read {name}: {error.strerror}: check its name and its permissions"
    folder, _, last = name.rpartition("/")
    with contextlib.suppress(OSError):
        near = difflib.get_close_matches(last, os.listdir(folder or "."), n=1, cutoff=0.7)
        if near:
            there = os.path.join(folder, near[0])
            return f"cannot read {name}: there is no such file: did you mean {there}?"
    return f"cannot read {name}: there is no such file: check its name"


class _NamedFile(io.FileIO):
    """A file whose damage is told with its name."""

    def readinto(self, buffer: Any) -> Any:
        try:
            return super().readinto(buffer)
        except OSError as error:
            raise UserError(
                f"cannot read on in {os.fspath(self.name)}: {error.strerror}: is its disk whole "
                "and connected?"
            ) from error


def _reader(path: str) -> io.BufferedReader:
    return io.BufferedReader(_NamedFile(path), BUFFER)


def is_descriptor(path: StrPath) -> bool:
    """Whether a path names what the process was given to read, not a file of a folder.

    Another process, or the same command tomorrow, finds something else under such a name.
    """
    name = os.fspath(path)
    return name == "-" or name.startswith(_DESCRIPTORS)


def is_read_once(path: StrPath) -> bool:
    """Whether a path cannot be relied on to give the same once more."""
    try:
        return is_descriptor(path) or stat.S_ISFIFO(os.stat(path).st_mode)
    except OSError:
        return False


def copies() -> dict[str, str]:
    """Where another process of this one's user finds the copies: for `adopt`."""
    known = dict(_adopted)
    for name in _names:
        with contextlib.suppress(OSError):
            found = os.stat(_STANDARD_INPUT if name == "-" else name)
            if (place := (found.st_dev, found.st_ino)) in _copies:
                known[name] = _copies[place]
    return known


def adopt(known: dict[str, str]) -> None:
    """Take over the `copies` of the process that started this one."""
    _adopted.update(known)


def _copied(actual: str, name: str, say: Callable[[str], None] | None) -> str:
    """Copy an input; the path by which the copy can be opened, also by a child of this process."""
    _names.add(name)
    if say is not None:
        say(f"{called(name)} can be read only once: copying it to {tempfile.gettempdir()} first")
    with open(actual, "rb", BUFFER) as source:
        try:
            copy: IO[bytes] = tempfile.TemporaryFile()
            shutil.copyfileobj(source, copy, BUFFER)
            copy.flush()
        except OSError as error:
            raise UserError(
                f"cannot copy {name} to {tempfile.gettempdir()}: {error.strerror}: free some "
                "space, set TMPDIR to a folder with more, or save it to a file and name that"
            ) from error
    path = f"/proc/{os.getpid()}/fd/{copy.fileno()}"
    if not os.path.exists(path):  # a system without /proc: the copy needs a name
        copy.seek(0)
        named = tempfile.NamedTemporaryFile(prefix="vidya-input-")
        with copy:
            shutil.copyfileobj(copy, named, BUFFER)
        named.flush()
        path, copy = named.name, named
    _files.append(copy)
    return path


def _refuse_what_is_no_file(mode: int, actual: str, name: str) -> None:
    """`UserError` for what holds no text, or would never end."""
    if stat.S_ISDIR(mode):
        raise UserError(f"{name} is a folder: name a text file in it")
    if stat.S_ISSOCK(mode):
        raise UserError(f"{name} is a socket: name a text file, or a pipe")
    if stat.S_ISBLK(mode):
        raise UserError(f"{name} is a disk and no file: name a text file")
    if stat.S_ISCHR(mode) and os.path.realpath(actual) != os.path.realpath(os.devnull):
        with contextlib.suppress(OSError), open(actual, "rb", buffering=0) as file:
            if file.isatty():
                raise UserError(
                    f"{name} is a terminal: name a text file, or send one through a pipe"
                )
        raise UserError(f"{name} is a device and no file: name a text file")
