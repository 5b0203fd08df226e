"""Seconds, bytes, counts, lists of figures and text as a person reads them."""

from __future__ import annotations

import re
import unicodedata


def duration(seconds: float) -> str:
    """Seconds as 45s, 3m 20s, 5h 02m or 3d 04h."""
    s = int(seconds)
    if s < 60:
        return f"{s}s"
    if s < 3600:
        return f"{s // 60}m {s % 60:02d}s"
    if s < 86400:
        return f"{s // 3600}h {s % 3600 // 60:02d}m"
    return f"{s // 86400}d {s % 86400 // 3600:02d}h"


def byte_size(n: float) -> str:
    """Bytes as 512 MB or 1.3 GB."""
    return f"{n / 1e6:.0f} MB" if n < 1e9 else f"{n / 1e9:.1f} GB"


def plural(count: int, noun: str) -> str:
    """A count with its noun: 1 lesson, 2,000 lessons."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def fitting(parts: list[str], width: int) -> str:
    """The first of `parts`, side by side, and as many more as `width` columns hold."""
    while len(parts) > 1 and len(" · ".join(parts)) > width:
        parts = parts[:-1]
    return " · ".join(parts)


def read_as_utf8(text: str) -> str:
    """An argument or a typed line in which bytes are UTF-8 that the locale could not read.

    These come as surrogates. Bytes that are no UTF-8 either stay such.
    """
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # surrogates that are no bytes
        return text


def plain_text(text: str) -> str:
    """A typed line as text, whatever the locale made of it; what cannot be read is replaced."""
    return re.sub("[\ud800-\udfff]", "\ufffd", read_as_utf8(text))


def printable(text: str, *, one_line: bool = False) -> str:
    """Text that is safe to show: control characters, which steer a terminal, replaced.

    Line ends and tabs stay; in one line, a single space stands for any whitespace.
    """
    if one_line:
        text = " ".join(text.split())
    return "".join(
        "\ufffd" if unicodedata.category(c) == "Cc" and c not in "\n\t" else c for c in text
    )
