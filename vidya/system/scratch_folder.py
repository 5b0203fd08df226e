"""Where commands that try a run out work: a temporary folder that is deleted at the end.

It stands on the disk that the run itself will be written to, so that what is found out
there about space and speed holds for the run, and it is no run folder.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from vidya.errors import PlaceError
from vidya.system.stop_signal import leaving_at_signals


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
    with leaving_at_signals(), folder as name:
        yield Path(name)


def existing_parent(out: Path) -> Path:
    """The nearest folder above `out` that exists."""
    parent = out.absolute().parent
    while not parent.is_dir():
        parent = parent.parent
    return parent
