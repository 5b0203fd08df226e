"""What was learned of corpus files, kept beside the token cache until a file changes.

Reading and hashing a gigabyte takes ten seconds and more, at each start of a run. So what
a survey found is written down with everything that the system says about the files, and
is used again only if all of that is still the same. Whatever is in doubt is read again:

- a file that was written to in the two seconds before it was read, since a clock of the
  file system that ticks slowly could hide another change;
- a file with another size, time of change (`ctime`, which nobody can set back), inode or
  device, or one that changed while it was read;
- a record that is damaged, or of another version.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vidya.system.atomic_file import recall_json, remember_json

_VERSION = 2
"""Raised when the same files come to be read as other documents."""
_SETTLED_NS = 2_000_000_000
"""Time stamps of FAT, the coarsest in use, are of two seconds."""
Stamp = list[Any]
"""Everything about some files that changes when they do, as JSON has it."""


def stamp(files: Sequence[Path]) -> Stamp | None:
    """The stamp of files that are about to be read; None if it could not be relied on."""
    now = time.time_ns()
    marks: Stamp = []
    try:
        for path in files:
            found = os.stat(path)
            if not stat.S_ISREG(found.st_mode):  # a pipe: another one tomorrow
                return None
            age = now - max(found.st_mtime_ns, found.st_ctime_ns)
            if age < _SETTLED_NS:  # or in the future: another machine's clock
                return None
            marks.append(
                [
                    os.path.realpath(path), found.st_size, found.st_mtime_ns, found.st_ctime_ns,
                    found.st_ino, found.st_dev,
                ]
            )  # fmt: skip
    except OSError:
        return None
    return marks


def recall(path: Path, key: dict[str, Any]) -> Any | None:
    """What `remember` wrote to `path` under an equal key, or None."""
    record, key = recall_json(path), {"version": _VERSION, **key}
    try:
        if record["digest"] != _digest(record["key"], record["value"]):
            return None
        return record["value"] if record["key"] == key else None
    except (KeyError, TypeError):  # another's file, or none
        return None


def remember(path: Path, key: dict[str, Any], value: Any) -> None:
    """Write down a value, which JSON must be able to hold, under a key that holds stamps."""
    key = {"version": _VERSION, **key}
    record = {"key": key, "value": value, "digest": _digest(key, value)}
    remember_json(path, record, end="\n")


def _digest(key: Any, value: Any) -> str:
    canonical = json.dumps([key, value], sort_keys=True).encode()
    return hashlib.blake2b(canonical, digest_size=16).hexdigest()
