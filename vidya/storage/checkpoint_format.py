"""A checkpoint as a file: its header, and its bytes, which are verified while they are read.

What a file holds is said in vidya/storage/checkpoint.py, which makes arrays of it. No NumPy here:
verifying a file takes as long as importing that, so a command that has to do both begins
with this.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from vidya.errors import UserError
from vidya.system.atomic_file import StrPath

FORMAT = "vidya-2"
"""Version of the file format that is written."""
DIGESTS: dict[str, Callable[[bytes], Any]] = {
    "vidya-2": hashlib.sha256,
    "vidya-1": functools.partial(hashlib.blake2b, digest_size=32),
}
"""Versions that are read, and how each takes its digest. SHA-256 has instructions of its own
in most processors: twice as fast there as BLAKE2b, which nothing helps."""
EXPORTED = "pt"
"""What stands for the version in an exported file (vidya/storage/exported_weights.py):
`transformers` reads no file that says anything else. Its digest is that of `FORMAT`."""
NO_DIGEST = "0" * 64
"""What stands in a file in place of its digest when that is taken."""
ITEM_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1,
    "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1, "BF16": 2,
}  # fmt: skip
"""Bytes of a number, by its type's name in a file."""
_PIECE = 16 << 20  # bytes verified at a time: between two a thread waits for Python's lock
_MAX_HEADER = 100_000_000  # the limit of the safetensors library


class CheckpointError(UserError):
    """A checkpoint that is missing, damaged, or of another model."""


@dataclass(frozen=True)
class Entry:
    """Where a tensor stands: byte offsets count from the end of the header."""

    name: str
    dtype: str
    """Its name in the file: a key of `ITEM_BYTES`."""
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class _Header:
    raw: bytes
    version: str
    digest: str
    meta: dict[str, Any]
    entries: list[Entry]


class CheckpointFile:
    """A checkpoint that is open, and verified from then on, in a thread beside the reading.

    `with CheckpointFile(path) as file:` waits for that at its end, and tells of damage even
    if something else went wrong: it may be for this very reason.

    Attributes:
        path: of the file.
        meta: the caller's metadata. Not verified before the end.
        entries: the tensors, in the order in which they stand there.
        is_exported: whether they are laid out for another program.

    Raises:
        CheckpointError: missing, unreadable, truncated, not a checkpoint, of another format
            version; on leaving, damaged.
    """

    def __init__(self, path: StrPath) -> None:
        self.path = path
        with contextlib.ExitStack() as on_error:
            try:
                self._file = on_error.enter_context(open(path, "rb"))
                self._header = _read_header(self._file, path)
            except OSError as error:
                raise _unreadable(path, error) from error
            on_error.pop_all()
        self.meta, self.entries = self._header.meta, self._header.entries
        self._left = -1  # bytes of the data that are not verified
        self._error: OSError | None = None
        self.is_exported = self._header.version == EXPORTED
        self._digest = DIGESTS.get(self._header.version, DIGESTS[FORMAT])(
            self._header.raw.replace(self._header.digest.encode(), NO_DIGEST.encode())
        )
        self._verification = threading.Thread(target=self._verify, daemon=True)
        self._verification.start()

    def read(self, entry: Entry, to: memoryview) -> None:
        """Read a tensor's bytes into memory of that size.

        Raises:
            CheckpointError: they cannot be read, or are not there any more.
        """
        try:
            self._file.seek(len(self._header.raw) + entry.begin)
            count = self._file.readinto(to)
        except OSError as error:
            raise _unreadable(self.path, error) from error
        if count != entry.end - entry.begin:
            raise _shrunk(self.path)

    def __enter__(self) -> CheckpointFile:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._verification.join()
        finally:
            self._file.close()
        if self._error is not None:
            raise _unreadable(self.path, self._error) from self._error
        if self._left:
            raise _shrunk(self.path)
        if self._digest.hexdigest() != self._header.digest:
            raise CheckpointError(
                f"{self.path} is damaged: its content does not match its digest; "
                "use another checkpoint"
            )

    def _verify(self) -> None:
        """Take the digest, in a thread: beside reading, which is quicker, it costs no more time."""
        descriptor, position = self._file.fileno(), len(self._header.raw)
        left = self.entries[-1].end if self.entries else 0
        buffer = memoryview(bytearray(min(_PIECE, left)))
        try:
            while left:
                count = os.preadv(descriptor, [buffer[: min(_PIECE, left)]], position)
                if not count:
                    break
                self._digest.update(buffer[:count])
                position, left = position + count, left - count
        except OSError as error:
            self._error = error
        self._left = left


def read_meta(path: StrPath) -> dict[str, Any]:
    """The metadata of a checkpoint, from the header alone.

    The length of the file is checked, the digest is not: `load` does that.

    Raises:
        CheckpointError: as `load`, but for damage inside the data.
    """
    return _header_of(path).meta


def read_digest(path: StrPath) -> str:
    """The digest that a checkpoint carries: it names this content and no other.

    Raises:
        CheckpointError: as `read_meta`.
    """
    return _header_of(path).digest


def _header_of(path: StrPath) -> _Header:
    try:
        with open(path, "rb") as file:
            return _read_header(file, path)
    except OSError as error:
        raise _unreadable(path, error) from error


def _read_header(file: BinaryIO, path: StrPath) -> _Header:
    """Read and check the header; leaves `file` at the first byte of the data."""
    size = os.fstat(file.fileno()).st_size
    length_bytes = file.read(8)
    length = int.from_bytes(length_bytes, "little")
    if len(length_bytes) < 8 or not 2 <= length <= _MAX_HEADER:
        raise CheckpointError(f"{path} is not a checkpoint: it has no safetensors header")
    if size < 8 + length:
        raise _truncated(path, 8 + length, size)
    text = file.read(length)
    try:
        header = json.loads(text)
        metadata = header.pop("__metadata__")
        version, digest, meta_text = (metadata[key] for key in ("format", "digest", "vidya"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path} is not a checkpoint of vidya, or is damaged") from error
    if not isinstance(version, str) or version not in (*DIGESTS, EXPORTED):
        raise CheckpointError(
            f"{path} has format {version!r}, this version of vidya reads {' and '.join(DIGESTS)}: "
            "update vidya, or use another checkpoint"
        )
    try:
        meta = json.loads(meta_text)
        entries = sorted(
            (_entry(name, value) for name, value in header.items()),
            key=lambda entry: (entry.begin, entry.end),
        )
        # Tensors lie end to end: what stood between them would be lost.
        ends = [0, *(entry.end for entry in entries)]
        whole = [entry.begin for entry in entries] == ends[:-1] and isinstance(meta, dict)
        valid = whole and len(digest) == 64 and text.count(digest.encode()) == 1
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        valid = False
    if not valid:
        raise CheckpointError(f"{path} is damaged: its header makes no sense")
    expected = 8 + length + (entries[-1].end if entries else 0)
    if size < expected:
        raise _truncated(path, expected, size)
    if size > expected:
        raise CheckpointError(f"{path} is damaged: {size} bytes long, but should be {expected}")
    return _Header(length_bytes + text, version, digest, meta, entries)


def _entry(name: str, value: dict[str, Any]) -> Entry:
    """One tensor's description; ValueError, KeyError or TypeError if it is nonsense."""
    dtype, shape = value["dtype"], tuple(value["shape"])
    begin, end = value["data_offsets"]
    if any(type(number) is not int or number < 0 for number in (*shape, begin, end)):
        raise ValueError("not a size")
    if end - begin != math.prod(shape) * ITEM_BYTES[dtype]:
        raise ValueError("shape and offsets disagree")
    return Entry(name, dtype, shape, begin, end)


def _shrunk(path: StrPath) -> CheckpointError:
    return CheckpointError(f"{path} became shorter while it was read")


def _truncated(path: StrPath, expected: int, size: int) -> CheckpointError:
    return CheckpointError(
        f"{path} is truncated: {size} of {expected} bytes are there; use another checkpoint"
    )


def _unreadable(path: StrPath, error: OSError) -> CheckpointError:
    return CheckpointError(f"cannot read checkpoint {path}: {error.strerror}")
