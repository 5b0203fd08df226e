"""What an output file may replace: a file of its own kind that the user names, and nothing else.

Naming an output that is there means to replace it, as with every tool. But a slip of the
completion must not cost a program, a checkpoint or a book.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from vidya.errors import PlaceError

_HEAD = 1 << 16
_PROGRAMS = frozenset(
    ".py .pyi .ipynb .c .h .cc .cpp .hpp .rs .go .java .js .ts .sh .pl .rb .r .jl .sql .md .rst "
    ".tex .html .css .json .jsonl .toml .yaml .yml .ini .cfg .xml".split()
)
"""Ends of names of what people write, and programs, but no corpus."""
# `data text --as-is` writes a space before it
_JSON = re.compile(rb"[\r\n]*[\[{]\s*[\"\[{\]}0-9]")


def require_replaceable(path: Path, is_own_kind: Callable[[bytes], bool], kind: str) -> None:
    """Refuse to replace a file of another kind.

    Args:
        path: of the output, where there is no file perhaps.
        is_own_kind: whether a file is of the kind that is to be written, by its first bytes.
        kind: what that is called: `a picture`.

    Raises:
        PlaceError: there is another kind of file.
    """
    if not path.is_file():
        return
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    if head and not is_own_kind(head):
        raise PlaceError(
            f"{path} is there, is not {kind} and would be replaced", "name another, or move it away"
        )


def require_replaceable_text(path: Path) -> None:
    """Refuse to replace a file that is recognisably no corpus: a program, JSON, no text at all.

    Raises:
        PlaceError: as `require_replaceable`.
    """
    named = path.suffix.lower() not in _PROGRAMS
    require_replaceable(path, lambda head: named and _is_plain_text(head), "a text of documents")


def _is_plain_text(head: bytes) -> bool:
    if b"\0" in head or head.startswith(b"#!") or _JSON.match(head):
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return len(head) - error.start < 4 and len(head) == _HEAD  # cut within a letter
    return True
