"""Opening a user's file as plain UTF-8 text: packed or not, in one of Unicode's encodings.

What a file is is told from its first bytes. What can be read as text is, whatever it is packed
with; anything else is refused with what it is and the command that makes a corpus of it.
"""

from __future__ import annotations

import io
import os

from vidya.errors import UserError
from vidya.system import read_once
from vidya.system.atomic_file import StrPath
from vidya.user_files.file_kind import HEAD, FileKind, kind_of
from vidya.user_files.refusals import refusal
from vidya.user_files.text_lines import tell
from vidya.user_files.unpacked_input import ENCODINGS, recoded, unpacked

_WRITTEN_AS_TEXT = {
    FileKind.JSON, FileKind.JSON_LINES, FileKind.TABLE, FileKind.TOKENIZER, FileKind.METRICS,
    FileKind.LESSONS, FileKind.LFS_POINTER, FileKind.RTF, FileKind.POSTSCRIPT,
}  # fmt: skip


def open_any(path: StrPath) -> tuple[io.BufferedReader, FileKind]:
    """Open a file of any kind; what is packed is unpacked, and Unicode made UTF-8.

    Raises:
        UserError: it cannot be opened, or not unpacked; later, while reading: it is damaged.
    """
    return unpacked(read_once.open_file(path, tell), read_once.called(path), tell)


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
    name = read_once.called(path)
    if encoding is not None:
        file, kind = unpacked(read_once.open_file(path, tell), name, tell, decode=False)
        if kind in (FileKind.TEXT, FileKind.BINARY, *ENCODINGS) and not (
            kind in ENCODINGS and encoding.lower().startswith("utf")
        ):
            return recoded(file, encoding, name)
        file.close()
    file, kind = open_any(path)
    allowed = _WRITTEN_AS_TEXT if as_is else {FileKind.TABLE} if tables else set()
    if kind is not FileKind.TEXT and kind not in allowed:
        head = file.peek(HEAD)[:HEAD]
        file.close()
        raise UserError(refusal(kind, name, head))
    return file


def text_of(raw: bytes, name: str) -> str:
    """Bytes as text, whatever packs or encodes them; `name` is what an error calls them.

    Raises:
        UserError: they are damaged, or no text that can be recognised.
    """
    if kind_of(raw[:HEAD]) is not FileKind.MAC_LINES:  # its characters are not to change
        raw = unpacked(io.BufferedReader(io.BytesIO(raw)), name, tell)[0].read()
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not UTF-8 at byte {error.start}: convert it") from error


def require_plain(path: StrPath) -> None:
    """`UserError` unless a file is plain UTF-8 text, which can be written as it was read."""
    name = os.fspath(path)
    if read_once.is_read_once(path):
        raise UserError(f"{name} can be read only once, and not written: name a file")
    with read_once.open_file(path) as file:
        kind = kind_of(file.peek(HEAD)[:HEAD])
    if kind is not FileKind.TEXT:
        raise UserError(f"{name} is {kind.value}, which cannot be written to: name another file")
