"""What is said of a file that is no plain text: what it is, and the command that makes it one."""

from __future__ import annotations

import io
import shlex
from collections import Counter

from vidya.errors import UserError
from vidya.user_files.chat_rows import messages_of
from vidya.user_files.file_kind import FileKind
from vidya.user_files.file_rows import rows_of
from vidya.user_files.located_row import Row

_ARCHIVES = {
    FileKind.ZIP: "python -m zipfile -e {file} FOLDER",
    FileKind.TAR: "tar -xf {file}",
    FileKind.SEVEN_ZIP: "7z x {file}",
    FileKind.RAR: "unrar x {file}",
    FileKind.LZ4: "lz4 -d {file}",
    FileKind.COMPRESS: "uncompress {file}",
    FileKind.LZIP: "lzip -d {file}",
}
_TO_BE_SAVED_AS_TEXT = {
    FileKind.DOCUMENT, FileKind.OLD_DOCUMENT, FileKind.RTF, FileKind.PDF, FileKind.POSTSCRIPT,
}  # fmt: skip
_OURS = {
    FileKind.CHECKPOINT: "python -m vidya.chat {file} talks to it",
    FileKind.SAFETENSORS: "it holds numbers and no text",
    FileKind.TOKEN_CACHE: "name the text that it was made of",
    FileKind.TOKENIZER: "name the text that it is to encode",
    FileKind.METRICS: "python -m vidya.plot FOLDER shows it",
    FileKind.LESSONS: "python -m vidya.teach --replay-journal learns them again",
    FileKind.LFS_POINTER: "git lfs pull fetches the file",
}
_COLUMNAR = {FileKind.PARQUET, FileKind.ARROW, FileKind.ARROW_STREAM}


def refusal(kind: FileKind, name: str, head: bytes) -> str:
    """Why a file cannot be read as plain text, and what can be done about it.

    Args:
        kind: what it is.
        name: what the user called it.
        head: its first bytes.
    """
    file = shlex.quote(name)
    chat = f"python -m vidya.data chat {file} --out corpus.txt"
    text = f"python -m vidya.data text {file} --out corpus.txt"
    if kind in _ARCHIVES:
        unpack = _ARCHIVES[kind].format(file=file)
        return f"{name} is {kind.value}: unpack it ({unpack}) and name the text files in it"
    if kind in _TO_BE_SAVED_AS_TEXT:
        return f"{name} is {kind.value}: save it as plain text (UTF-8) and name that"
    if kind in _OURS:
        return f"{name} is {kind.value} and no text: {_OURS[kind].format(file=file)}"
    if kind in _COLUMNAR:
        return f"{name} is {kind.value}: {chat} reads its conversations, {text} its texts"
    if kind in (FileKind.JSON, FileKind.JSON_LINES, FileKind.TABLE):
        return f"{name} is {kind.value}{_advice(kind, head, chat, text)}"
    return f"{name} is {kind.value}: name a plain text file"


def _advice(kind: FileKind, head: bytes, chat: str, text: str) -> str:
    """What makes a corpus of rows: it depends on what is in them."""
    as_is = "(vidya.data text --as-is takes its lines as text)"
    fields = first_row(kind, head)
    try:
        what, _ = messages_of(fields, Counter())
        return f" with conversations ({what}): {chat} makes a corpus of it {as_is}"
    except LookupError:
        pass
    except ValueError:
        return f" with conversations: {chat} makes a corpus of it {as_is}"
    if isinstance(fields, dict) and isinstance(fields.get("text"), str):
        return f" with texts: {text} makes a corpus of them {as_is}"
    if isinstance(fields, dict) and fields:
        names = ", ".join(map(str, fields))
        return f" with {names}: {text} --column NAME takes the texts of one {as_is}"
    return f": {chat} makes a corpus of conversations in it {as_is}"


def first_row(kind: FileKind, head: bytes) -> object:
    """The first row that can be read of JSON, JSONL or a table by its beginning; None for none."""
    try:
        rows = rows_of(io.BytesIO(head), kind, "")
        return next((row.value for row in rows if isinstance(row, Row)), None)
    except UserError:  # the beginning ends in the middle of a letter
        return None
