"""The lines of a text in UTF-8, and what is said of one that is none."""

from __future__ import annotations

import codecs
import io
import shlex
from collections.abc import Iterator

from vidya.errors import UserError
from vidya.terminal.streams import say

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
        raw = raw.removeprefix(codecs.BOM_UTF8)  # also where files were put together
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
    if is_utf8 or len(whole) > damaged:
        return f"what stands before is: iconv -c -f UTF-8 -t UTF-8 {file} leaves such bytes out"
    if 3 * foreign <= characters:
        return (
            f"it looks like Windows-1252 or Latin-1: iconv -f CP1252 -t UTF-8 {file} makes UTF-8 "
            "of it, or vidya.data text --encoding cp1252 a corpus"
        )
    return (
        f"convert it, if you know its encoding (CP1251, GB18030, SHIFT_JIS, …): "
        f"iconv -f NAME -t UTF-8 {file}, or vidya.data text --encoding NAME"
    )
