"""The user's cache folder: what takes long to find out, kept for the next time.

An entry is a file: a line of JSON that says what it was made for, with a digest, and the bytes
themselves. What is damaged, of another key or cannot be read is not there, and what cannot be
written is not kept: nobody needs the folder to be there. When it grows past `MOST_BYTES` the
entries go that were not used for the longest time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidya.errors import UserError
from vidya.system.atomic_file import remove_stale, write_bytes

CHOSEN = "VIDYA_CACHE"
"""Environment variable that names the folder; else it is `vidya` in the user's cache folder."""
MOST_BYTES = 100_000_000
"""Of all entries together."""
KINDS = ("tokenizers", "plans")
"""Folders of entries."""
THREADS = "threads.json"
"""The file of vidya/training/thread_choice.py, which bounds it itself."""
_NAME = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Entry:
    """Something that is kept."""

    kind: str
    path: Path
    size: int
    """Bytes."""
    used: float
    """When it was last made or used, in seconds as `time.time` counts them."""


def cache_folder() -> Path | None:
    """The folder, which need not exist; None where there is no place for one."""
    if chosen := os.environ.get(CHOSEN):
        return Path(chosen)
    given = os.environ.get("XDG_CACHE_HOME", "")
    try:  # the standard ignores a relative one
        folder = Path(given) if os.path.isabs(given) else Path.home() / ".cache"
    except RuntimeError:  # a user without a home
        return None
    return folder / "vidya"


def recall(kind: str, key: dict[str, Any]) -> bytes | None:
    """What `remember` kept under an equal key, to the same bytes; None if there is no such."""
    if (path := _path(kind, key)) is None:
        return None
    try:
        first, _, content = path.read_bytes().partition(b"\n")
        if json.loads(first) != _heading(key, content):
            return None
    except (OSError, ValueError, RecursionError):
        return None
    with contextlib.suppress(OSError):  # it was used now; a folder that is only read stays so
        os.utime(path)
    return content


def remember(kind: str, key: dict[str, Any], content: bytes) -> None:
    """Keep bytes under a key, which JSON must be able to hold; where that fails, do not."""
    path = _path(kind, key)
    if path is None or len(content) > MOST_BYTES // 4:
        return
    with contextlib.suppress(OSError, UserError):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_stale(path.parent)
        write_bytes(path, json.dumps(_heading(key, content)).encode() + b"\n" + content)
        _make_room(path)


def entries() -> list[Entry]:
    """Everything that is kept, what was used last at the end."""
    folder = cache_folder()
    if folder is None:
        return []
    paths = [(THREADS.partition(".")[0], folder / THREADS)]
    for kind in KINDS:
        with contextlib.suppress(OSError):
            ours = [one for one in (folder / kind).iterdir() if _NAME.fullmatch(one.name)]
            paths += [(kind, one) for one in ours]
    found = []
    for kind, path in paths:
        with contextlib.suppress(OSError):
            status = path.lstat()
            found.append(Entry(kind, path, status.st_size, status.st_mtime))
    return sorted(found, key=lambda entry: entry.used)


def clear() -> int:
    """Delete everything that is kept, and nothing else; how many bytes that was.

    Raises:
        OSError: an entry cannot be deleted.
    """
    freed = 0
    for entry in entries():
        entry.path.unlink(missing_ok=True)
        freed += entry.size
    if (folder := cache_folder()) is not None:
        for one in (*(folder / kind for kind in KINDS), folder):
            with contextlib.suppress(OSError):  # none, or somebody else's file in it
                remove_stale(one)
                one.rmdir()
    return freed


def _path(kind: str, key: dict[str, Any]) -> Path | None:
    assert kind in KINDS
    folder = cache_folder()
    return None if folder is None else folder / kind / _digest(_canonical(key))


def _heading(key: dict[str, Any], content: bytes) -> dict[str, Any]:
    """The first line of an entry."""
    return {"vidya_cache": 1, "key": json.loads(_canonical(key)), "digest": _digest(content)}


def _canonical(key: dict[str, Any]) -> bytes:
    return json.dumps(key, sort_keys=True).encode()


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _make_room(newest: Path) -> None:
    """Delete what was not used for the longest time, until the rest fits."""
    kept = [entry for entry in entries() if entry.kind in KINDS and entry.path != newest]
    size = newest.stat().st_size + sum(entry.size for entry in kept)
    for entry in kept:
        if size <= MOST_BYTES:
            break
        entry.path.unlink(missing_ok=True)
        size -= entry.size
