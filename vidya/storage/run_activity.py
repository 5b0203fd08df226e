"""When a run was last worked on, by what its own files say: a copy of it says the same.

The date of a file is that of its copying. So checkpoints record when they were written
(`written` in their metadata), metrics when a session started and how long it trained, the
journal of lessons when each was given. Only for files of earlier versions, which record
nothing, the date of the file counts.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vidya.errors import UserError
from vidya.storage.checkpoint_format import read_meta
from vidya.storage.run_files import RunFiles

_TAIL = 1 << 24
"""Bytes at the end of a metrics file in which the start of its last session is looked for."""
_SESSION = b'\n{"kind": "'


def now() -> str:
    """The time as checkpoints record it."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat()


def file_date(path: Path) -> float:
    """When a file was last written to, seconds since 1970; 0 if it is not there (any more)."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def written_at(path: Path) -> float:
    """When a checkpoint was written, by its own record or else by its date."""
    recorded = _recorded(path)
    return file_date(path) if recorded is None else recorded


def last_activity(folder: Path, checkpoints: Iterable[Path]) -> float:
    """When the run in a folder was last worked on, seconds since 1970; 0 if it holds no run.

    Args:
        folder: of the run.
        checkpoints: those that are in it.
    """
    run, some = RunFiles(folder), list(checkpoints)
    logs = run.metrics, run.finetune_metrics, run.rl_metrics
    times = [*map(_recorded, some), *map(_end_of_sessions, logs), _last_lesson(run.lessons)]
    recorded = [time for time in times if time is not None]
    # beside a record the date of a file says only when it was copied
    return max(recorded or map(file_date, (*some, run.metrics)))


def _recorded(path: Path) -> float | None:
    with contextlib.suppress(UserError):
        return _seconds(read_meta(path).get("written"))
    return None


def _end_of_sessions(path: Path) -> float | None:
    """Start of a metrics file's last session and the time that it has trained since."""
    tail = _tail(path)
    start = max(tail.rfind(_SESSION) + 1, 0)
    lines = tail[start:].split(b"\n")
    first = _parsed(lines[0])
    started = _seconds(first.get("started"))
    if started is None:
        return None
    spent = [
        float(line["time_s"]) for line in map(_parsed, (*lines[1:3], *lines[-3:])) if _timed(line)
    ]
    # the time is that of all sessions
    return started + (max(0.0, spent[-1] - spent[0]) if spent else 0.0)


def _last_lesson(path: Path) -> float | None:
    times = (_seconds(_parsed(raw).get("time")) for raw in reversed(_tail(path).split(b"\n")))
    return next((time for time in times if time is not None), None)


def _tail(path: Path) -> bytes:
    """The last bytes of a file; none if it cannot be read."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
        return file.read()
    return b""


def _parsed(raw: bytes) -> dict[str, Any]:
    with contextlib.suppress(ValueError, RecursionError):
        line = json.loads(raw)
        if isinstance(line, dict):
            return line
    return {}


def _timed(line: dict[str, Any]) -> bool:
    return isinstance(line.get("time_s"), (int, float))


def _seconds(time: object) -> float | None:
    """Of an ISO date with its zone; None for anything else."""
    with contextlib.suppress(ValueError, TypeError):
        found = datetime.datetime.fromisoformat(time)  # type: ignore[arg-type]
        return found.timestamp() if found.tzinfo is not None else None
    return None
