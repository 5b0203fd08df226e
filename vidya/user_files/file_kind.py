"""What a file is, told from its first bytes and not from its name."""

from __future__ import annotations

import enum
import re

from vidya.user_files import json_values, separated_values

HEAD = 1 << 16
"""First bytes of a file that are looked at."""


class FileKind(enum.Enum):
    """What a file can be; the value is what it is called in a sentence."""

    TEXT = "text"
    MAC_LINES = "text with the line ends of old Macs"
    UTF16 = "UTF-16"
    UTF16_LE = "UTF-16 (little-endian, without a mark at its head)"
    UTF16_BE = "UTF-16 (big-endian, without a mark at its head)"
    UTF32 = "UTF-32"
    UTF32_LE = "UTF-32 (little-endian, without a mark at its head)"
    UTF32_BE = "UTF-32 (big-endian, without a mark at its head)"
    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"
    ZSTD = "zstd"
    JSON = "JSON"
    JSON_LINES = "JSONL"
    TABLE = "a table (CSV or TSV)"
    PARQUET = "parquet"
    ARROW = "an Arrow file"
    ARROW_STREAM = "an Arrow stream"
    ZIP = "a zip archive"
    TAR = "a tar archive"
    SEVEN_ZIP = "a 7z archive"
    RAR = "a rar archive"
    LZ4 = "packed with lz4"
    COMPRESS = "packed with compress"
    LZIP = "packed with lzip"
    DOCUMENT = "an office document or e-book"
    OLD_DOCUMENT = "an old office document"
    RTF = "an RTF document"
    PDF = "a PDF"
    POSTSCRIPT = "PostScript"
    PICTURE = "a picture"
    SOUND = "a sound or video file"
    SQLITE = "an SQLite database"
    HDF5 = "an HDF5 file"
    NUMPY = "a NumPy array"
    PICKLE = "a Python pickle"
    PYTORCH = "a PyTorch file"
    GGUF = "a GGUF model"
    SAFETENSORS = "a safetensors file"
    CHECKPOINT = "a checkpoint of vidya"
    TOKEN_CACHE = "a token cache of a run folder"
    TOKENIZER = "a tokenizer"
    METRICS = "what a run of vidya measured"
    LESSONS = "a journal of vidya's lessons"
    LFS_POINTER = "a pointer of Git LFS to a file"
    PROGRAM = "a program"
    BINARY = "no text but binary"


_MAGIC: list[tuple[bytes, FileKind]] = [
    (b"\x1f\x8b", FileKind.GZIP),
    (b"\x28\xb5\x2f\xfd", FileKind.ZSTD),
    *((bytes([0x50 + low, 0x2A, 0x4D, 0x18]), FileKind.ZSTD) for low in range(16)),
    (b"BZh", FileKind.BZIP2),
    (b"\xfd7zXZ\0", FileKind.XZ),
    (b"PAR1", FileKind.PARQUET),
    (b"ARROW1\0\0", FileKind.ARROW),
    (b"\xff\xff\xff\xff", FileKind.ARROW_STREAM),
    (b"7z\xbc\xaf\x27\x1c", FileKind.SEVEN_ZIP),
    (b"Rar!\x1a\x07", FileKind.RAR),
    (b"\x04\x22\x4d\x18", FileKind.LZ4),
    (b"\x1f\x9d", FileKind.COMPRESS),
    (b"LZIP\x01", FileKind.LZIP),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", FileKind.OLD_DOCUMENT),
    (b"{\\rtf", FileKind.RTF),
    (b"%PDF-", FileKind.PDF),
    (b"%!PS", FileKind.POSTSCRIPT),
    (b"\x89PNG\r\n", FileKind.PICTURE),
    (b"\xff\xd8\xff", FileKind.PICTURE),
    (b"GIF87a", FileKind.PICTURE),
    (b"GIF89a", FileKind.PICTURE),
    (b"II*\0", FileKind.PICTURE),
    (b"MM\0*", FileKind.PICTURE),
    (b"OggS\0", FileKind.SOUND),
    (b"fLaC\0", FileKind.SOUND),
    (b"ID3\x02", FileKind.SOUND),
    (b"ID3\x03", FileKind.SOUND),
    (b"ID3\x04", FileKind.SOUND),
    (b"\x1aE\xdf\xa3", FileKind.SOUND),
    (b"SQLite format 3\0", FileKind.SQLITE),
    (b"\x89HDF\r\n", FileKind.HDF5),
    (b"\x93NUMPY", FileKind.NUMPY),
    (b"GGUF", FileKind.GGUF),
    (b"VIDYATOK", FileKind.TOKEN_CACHE),
    (b"version https://git-lfs.github.com/", FileKind.LFS_POINTER),
    (b"\x7fELF", FileKind.PROGRAM),
]
_MARKS = [
    (b"\xff\xfe\0\0", FileKind.UTF32),
    (b"\0\0\xfe\xff", FileKind.UTF32),
    (b"\xff\xfe", FileKind.UTF16),
    (b"\xfe\xff", FileKind.UTF16),
]
_ENCODINGS = [
    ("utf-32-le", 4, FileKind.UTF32_LE),
    ("utf-32-be", 4, FileKind.UTF32_BE),
    ("utf-16-le", 2, FileKind.UTF16_LE),
    ("utf-16-be", 2, FileKind.UTF16_BE),
]
_OFFICE = (b"[Content_Types].xml", b"mimetypeapplication/", b"word/", b"xl/", b"ppt/")
_CONTROLS = bytes([*range(9), *range(0x0E, 0x1B), *range(0x1C, 0x20), 0x7F])
"""Bytes that no text has: all but white space and the escapes of terminals."""
_UNPRINTED = re.compile("[\0-\x08\x0e-\x1a\x1c-\x1f\x7f-\x9f\ufffe\uffff]")
_BOM = b"\xef\xbb\xbf"


def kind_of(head: bytes) -> FileKind:
    """What a file is that begins with `head`, its first `HEAD` bytes or all that it has."""
    for magic, kind in _MAGIC:
        if head.startswith(magic) and not (magic.isalnum() and _is_printed(head)):
            return kind
    if head.startswith(b"PK\x03\x04") or head.startswith(b"PK\x05\x06"):
        return _kind_of_zip(head)
    if head[257:262] == b"ustar":
        return FileKind.TAR
    if (found := _of_eight_bytes(head)) is not None:
        return found
    for mark, kind in _MARKS:
        if head.startswith(mark):
            return kind
    if b"\0" in head and (found := _encoding_with_zeros(head)) is not None:
        return found
    if _is_binary(head):
        return FileKind.BINARY
    return _kind_of_text(head.removeprefix(_BOM), len(head) < HEAD)


def _is_printed(head: bytes) -> bool:
    """Whether a file begins like text, as a word may that is a sign of other files, too."""
    begin = head[:256]
    try:
        begin[: max(4, len(begin) - 4)].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return len(begin.translate(None, _CONTROLS)) == len(begin)


def _kind_of_zip(head: bytes) -> FileKind:
    if any(name in head[:4096] for name in _OFFICE):
        return FileKind.DOCUMENT
    if b"/data.pkl" in head[:4096]:
        return FileKind.PYTORCH
    return FileKind.ZIP


def _of_eight_bytes(head: bytes) -> FileKind | None:
    """Kinds whose sign is not the same bytes each time."""
    length = int.from_bytes(head[:8], "little")
    if 2 <= length < 1 << 30 and head[8:10] == b'{"':
        ours = b'"vidya"' in head or b'"format":"vidya' in head
        return FileKind.CHECKPOINT if ours else FileKind.SAFETENSORS
    if (head[4:8] == b"ftyp" or head[:4] == b"RIFF") and not _is_printed(head):
        return FileKind.PICTURE if head[8:12] == b"WEBP" else FileKind.SOUND
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return FileKind.PICKLE
    if head[:2] in (b"BM", b"MZ") and b"\0" in head[:64]:
        return FileKind.PICTURE if head[:2] == b"BM" else FileKind.PROGRAM
    return None


def _encoding_with_zeros(head: bytes) -> FileKind | None:
    """UTF-16 or UTF-32 without a mark: letters of the Latin alphabet have zeros in them."""
    for encoding, width, kind in _ENCODINGS:
        whole = head[: len(head) // width * width]
        high = whole[width - 1 :: width] if encoding.endswith("le") else whole[::width]
        low = whole[::width] if encoding.endswith("le") else whole[width - 1 :: width]
        # line ends and spaces, if nothing else, have a zero in the upper half and none below
        if not high.count(0) or high.count(0) < 20 * low.count(0):
            continue
        try:
            text = whole.decode(encoding)
        except UnicodeDecodeError as error:
            if error.start < len(whole) - width:  # not only cut at the end of the head
                continue
            text = whole[: error.start].decode(encoding)
        if len(_UNPRINTED.findall(text)) <= len(text) // 100 and any(map(str.isspace, text)):
            return kind
    return None


def _is_binary(head: bytes) -> bool:
    """Whether so much of a file is no text that its lines need not be looked at."""
    unprinted = len(head) - len(head.translate(None, _CONTROLS))
    if b"\0" in head:
        try:
            head[:-4].decode("utf-8")
        except UnicodeDecodeError:
            return True
    return unprinted > len(head) // 20


def _kind_of_text(head: bytes, whole: bool) -> FileKind:
    text = head.decode("utf-8", "replace")
    form = json_values.form_of(text, whole)
    if form is not None:
        return _kind_of_json(text, form)
    if "\n" not in text and text.count("\r") > 1:
        return FileKind.MAC_LINES
    return FileKind.TABLE if separated_values.is_table(text, whole) else FileKind.TEXT


def _kind_of_json(text: str, form: json_values.Form) -> FileKind:
    start = text.lstrip()[:2000]
    if '"added_tokens"' in start and '"version"' in start:
        return FileKind.TOKENIZER
    if re.match(r'\{"kind": ?"(run|rl|finetune)"', start):
        return FileKind.METRICS
    if re.match(r'\{"journal": ?\d+, ?"base"', start):
        return FileKind.LESSONS
    return FileKind.JSON_LINES if form == "lines" else FileKind.JSON
