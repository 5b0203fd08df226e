"""Packed files and other encodings, read as if they were plain UTF-8, in bounded memory."""

from __future__ import annotations

import bz2
import codecs
import gzip
import importlib
import io
import lzma
import zlib
from collections.abc import Callable
from typing import IO, Any

from vidya.errors import UserError
from vidya.user_files.file_kind import HEAD, FileKind, kind_of

_DEEPEST = 4
"""Packings and encodings one inside the other that are undone."""
_BUFFER = 2 * HEAD
ENCODINGS = {
    FileKind.UTF16: "utf-16",
    FileKind.UTF16_LE: "utf-16-le",
    FileKind.UTF16_BE: "utf-16-be",
    FileKind.UTF32: "utf-32",
    FileKind.UTF32_LE: "utf-32-le",
    FileKind.UTF32_BE: "utf-32-be",
}


def unpacked(
    file: io.BufferedReader,
    name: str,
    say: Callable[[str], None] | None = None,
    *,
    decode: bool = True,
) -> tuple[io.BufferedReader, FileKind]:
    """Undo what packs and encodes a file; the file as it then reads, and its kind.

    Args:
        file: open at its beginning; closed with the result.
        name: what errors call it.
        say: takes a line that tells of an encoding that was guessed.
        decode: whether encodings are undone, too.

    Raises:
        UserError: no library to unpack with; later, while reading: it is damaged.
    """
    stream: io.BufferedReader = file
    kind = kind_of(stream.peek(HEAD)[:HEAD])
    for _ in range(_DEEPEST):
        if kind is FileKind.MAC_LINES:
            if say is not None:
                say(f"{name} is {kind.value}: read as that")
            inner: _Source = _Unpacked(_MacLines(stream), stream, name)
        elif kind in _UNPACKERS:
            inner = _Unpacked(_UNPACKERS[kind](stream, name), stream, name)
        elif kind in ENCODINGS and decode:
            if say is not None:
                say(f"{name} is {kind.value}: read as that")
            inner = _Recoded(stream, ENCODINGS[kind], name)
        else:
            break
        stream = io.BufferedReader(inner, _BUFFER)
        kind = kind_of(stream.peek(HEAD)[:HEAD])
    return stream, kind


def recoded(file: IO[bytes], encoding: str, name: str) -> io.BufferedReader:
    """A file of another encoding as UTF-8; UserError where there is no such encoding."""
    try:
        codecs.lookup(encoding)
        codecs.getincrementaldecoder(encoding)().decode(b"", True)
        if not isinstance("".encode(encoding), bytes):
            raise LookupError
    except (LookupError, TypeError) as error:
        raise UserError(
            f"there is no encoding {encoding}: utf-8, cp1252, latin-1, cp1251, gb18030, "
            "shift_jis, … are some"
        ) from error
    return io.BufferedReader(_Recoded(file, encoding, name), _BUFFER)


class _Source(io.RawIOBase):
    """A stream that is made of another; reads come filled, but for the last."""

    def __init__(self, below: IO[bytes], name: str) -> None:
        super().__init__()
        self._below, self._name = below, name

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            self._below.close()
        super().close()


class _Unpacked(_Source):
    """What was packed; damage is a `UserError`."""

    def __init__(self, packed: Any, below: IO[bytes], name: str) -> None:
        super().__init__(below, name)
        self._packed = packed

    def readinto(self, buffer: Any) -> int:
        view, filled = memoryview(buffer), 0
        try:
            while filled < len(view):
                some = self._packed.read(len(view) - filled)
                if not some:
                    break
                view[filled : filled + len(some)] = some
                filled += len(some)
        except (EOFError, OSError, zlib.error, lzma.LZMAError, _zstd_error()) as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"cannot unpack {self._name}: {reason}: it is damaged or cut short: fetch it again"
            ) from error
        return filled


class _Recoded(_Source):
    """Text of another encoding as UTF-8."""

    def __init__(self, below: IO[bytes], encoding: str, name: str) -> None:
        super().__init__(below, name)
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._encoding = encoding
        self._waiting = b""
        self._ended = False
        self._lines = 1

    def readinto(self, buffer: Any) -> int:
        view, filled = memoryview(buffer), 0
        while filled < len(view):
            if not self._waiting:
                if self._ended:
                    break
                self._waiting = self._more()
            some = self._waiting[: len(view) - filled]
            view[filled : filled + len(some)] = some
            self._waiting = self._waiting[len(some) :]
            filled += len(some)
        return filled

    def _more(self) -> bytes:
        raw = self._below.read(HEAD)
        self._ended = not raw
        try:
            text = self._decoder.decode(raw, self._ended)
        except UnicodeError as error:
            raise UserError(
                f"{self._name} is not {self._encoding} past line {self._lines}: "
                f"{' '.join(str(error).split())}: it is damaged, or of another encoding"
            ) from error
        self._lines += text.count("\n")
        return text.encode("utf-8", "replace")


class _MacLines:
    """Text with line feeds for its carriage returns."""

    def __init__(self, below: IO[bytes]) -> None:
        self._below = below

    def read(self, size: int) -> bytes:
        """As a file."""
        return self._below.read(size).replace(b"\r", b"\n")


def _gzip(file: IO[bytes], _: str) -> Any:
    return gzip.GzipFile(fileobj=file)


def _bzip2(file: IO[bytes], _: str) -> Any:
    return bz2.BZ2File(file)


def _xz(file: IO[bytes], _: str) -> Any:
    return lzma.LZMAFile(file)


def _zstd_library() -> Any:
    """The module that reads zstd; None where there is none."""
    for module in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(module)
        except ImportError:
            pass
    return None


def _zstd_error() -> type[Exception]:
    """What that module raises for a damaged file."""
    library = _zstd_library()
    error: type[Exception] = EOFError if library is None else library.ZstdError
    return error


def _zstd(file: IO[bytes], name: str) -> Any:
    library = _zstd_library()
    if library is None:
        file.close()
        raise UserError(
            f"{name} is packed with zstd, which needs: python -m pip install backports.zstd"
        )
    return library.ZstdFile(file)


_UNPACKERS: dict[FileKind, Callable[[IO[bytes], str], Any]] = {
    FileKind.GZIP: _gzip,
    FileKind.BZIP2: _bzip2,
    FileKind.XZ: _xz,
    FileKind.ZSTD: _zstd,
}
