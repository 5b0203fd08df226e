"""Where commands that try a run out work: a temporary folder that is deleted at the end.

It stands on the disk that the run itself will be written to, so that what is found out
there about space and speed holds for the run, and it is no run folder.
"""

from __future__ import annotations

import contextlib
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from vidya.errors import PlaceError


@contextlib.contextmanager
def temporary_folder(out: Path, purpose: str) -> Iterator[Path]:
    """A folder beside where `out` is or would be; deleted when the block ends.

    Raises:
        PlaceError: nothing can be written there.
    """
    parent = existing_parent(out)
    try:
        folder = tempfile.TemporaryDirectory(
            prefix=f".vidya-{purpose}-", dir=parent, ignore_cleanup_errors=True
        )
    except OSError as error:
        reason = f"cannot write to folder {parent}: {error.strerror}"
        raise PlaceError(reason, "change its permissions") from error
    with _ended_by_sigterm(), folder as name:
        yield Path(name)


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block as an exception does: what it made is deleted."""

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def existing_parent(out: Path) -> Path:
    """The nearest folder above `out` that exists."""
    parent = out.absolute().parent
    while not parent.is_dir():
        parent = parent.parent
    return parent
