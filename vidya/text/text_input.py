"""Opening a user's file as plain UTF-8 text: packed or not, in one of Unicode's encodings.

What a file is is told from its first bytes. What can be read as text is, whatever it is packed
with; anything else is refused with what it is and the command that makes a corpus of it.
"""

from __future__ import annotations

import codecs
import io
import os
import shlex
from collections.abc import Iterator

from vidya.errors import UserError
from vidya.system import read_once
from vidya.system.atomic_file import StrPath
from vidya.terminal.streams import say
from vidya.text.file_kind import HEAD, FileKind, kind_of
from vidya.text.refusals import refusal
from vidya.text.unpacked_input import recoded, unpacked

_WRITTEN_AS_TEXT = {
    FileKind.JSON, FileKind.JSON_LINES, FileKind.TABLE, FileKind.TOKENIZER, FileKind.METRICS,
    FileKind.LESSONS, FileKind.LFS_POINTER, FileKind.RTF, FileKind.POSTSCRIPT,
}  # fmt: skip
LONGEST = 1 << 30
"""Bytes of a line."""
_ODD = bytes([*range(1, 9), *range(0x0E, 0x20), 0x7F])
"""Control characters that no text needs; a line that has one is told."""
_told: set[str] = set()


def tell(line: str) -> None:
    """Say a line on standard error, once in a process: a file is read several times."""
    if line not in _told:
        _told.add(line)
        say(line)


def open_any(path: StrPath) -> tuple[io.BufferedReader, FileKind]:
    """Open a file of any kind; what is packed is unpacked, and Unicode made UTF-8.

    Raises:
        UserError: it cannot be opened, or not unpacked; later, while reading: it is damaged.
    """
    return unpacked(read_once.open_file(path, tell), os.fspath(path), tell)


def open_text(
    path: StrPath, encoding: str | None = None, *, as_is: bool = False, tables: bool = False
) -> io.BufferedReader:
    """Open a text as a file of UTF-8 bytes.

    Args:
        path: the file.
        encoding: of the text; None: UTF-8, or what its first bytes say.
        as_is: take JSON, tables and the like for the text that they are, too.
        tables: take tables for that.

    Raises:
        UserError: as `open_any`; it is no plain text.
    """
    file, kind = open_any(path)
    name = os.fspath(path)
    if encoding is not None and kind in (FileKind.TEXT, FileKind.BINARY):
        return recoded(file, encoding, name)
    allowed = _WRITTEN_AS_TEXT if as_is else {FileKind.TABLE} if tables else set()
    if kind is not FileKind.TEXT and kind not in allowed:
        head = file.peek(HEAD)[:HEAD]
        file.close()
        raise UserError(refusal(kind, name, head))
    return file


def require_plain(path: StrPath) -> None:
    """`UserError` unless a file is plain UTF-8 text, which can be written as it was read."""
    name = os.fspath(path)
    if read_once.is_read_once(path):
        raise UserError(f"{name} can be read only once, and not written: name a file")
    with read_once.open_file(path) as file:
        kind = kind_of(file.peek(HEAD)[:HEAD])
    if kind is not FileKind.TEXT:
        raise UserError(f"{name} is {kind.value}, which cannot be written to: name another file")


def lines_of(file: io.BufferedReader | Iterator[bytes], name: str) -> Iterator[str]:
    r"""The lines of an open file of UTF-8, without their ends, which are `\n` or `\r\n`.

    Args:
        file: bytes.
        name: what an error calls it.

    Raises:
        UserError: a line is not UTF-8, is longer than `LONGEST`, or has a NUL in it.
    """
    raws = iter(lambda: file.readline(LONGEST), b"") if hasattr(file, "readline") else file
    odd = foreign = False
    for number, raw in enumerate(raws, start=1):
        if number == 1:
            raw = raw.removeprefix(codecs.BOM_UTF8)
        if len(raw) >= LONGEST:
            raise UserError(f"{name}, line {number}: longer than {LONGEST:,} bytes: it is no text")
        if b"\0" in raw:
            raise UserError(
                f"{name}, line {number}: a NUL character, which no text has: the file is damaged "
                "or no plain text"
            )
        if not odd and len(raw.translate(None, _ODD)) < len(raw):
            odd = True
            tell(f"{name}, line {number}: control characters in the text, which are taken as it")
        try:
            line = raw.rstrip(b"\r\n").decode("utf-8")
        except UnicodeDecodeError as error:
            found = f"{name}, line {number}: byte {raw[error.start]:#04x} is not UTF-8"
            advice = _encoding_advice(name, raw, foreign)
            raise UserError(f"{found}: {advice}") from error
        foreign = foreign or not line.isascii()
        yield line


def _encoding_advice(name: str, raw: bytes, is_utf8: bool) -> str:
    """What makes UTF-8 of a file with such a line, and does no harm.

    Args:
        name: of the file.
        raw: the line.
        is_utf8: whether lines before it had letters in UTF-8 that are not English.
    """
    characters = sum(map(str.isalpha, raw.decode("ascii", "ignore")))
    whole = "".join(filter(lambda letter: not letter.isascii(), raw.decode("utf-8", "ignore")))
    foreign = sum(byte >= 0x80 for byte in raw)
    damaged = foreign - len(whole.encode())
    file = shlex.quote(name)
    convert = f"python -m vidya.data text {file} --out corpus.txt --encoding"
    if is_utf8 or len(whole) > damaged:
        return f"what stands before is: iconv -c -f UTF-8 -t UTF-8 {file} leaves such bytes out"
    if 3 * foreign <= characters:
        return f"it looks like Windows-1252 or Latin-1: {convert} cp1252 makes a corpus of it"
    return (
        f"say which encoding it is (cp1252, cp1251, gb18030, shift_jis, …): {convert} NAME makes "
        "a corpus of it"
    )
