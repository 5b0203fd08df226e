"""What vidya keeps for the next time, and how to be rid of it: `python -m vidya.cache [--clear]`.

Tokenizers of texts that were trained on, numbers of threads and plans: what would take long to
find out again. Nothing is lost with it but time.
"""

# No `from __future__ import annotations` here: tyro reads the annotations.

import contextlib
import datetime
from dataclasses import dataclass

from vidya.errors import UserError
from vidya.system import user_cache
from vidya.terminal.command_frame import run_command
from vidya.terminal.command_line import parse
from vidya.terminal.common_options import Options
from vidya.terminal.formatting import plural
from vidya.terminal.streams import show

_NAMES = {"tokenizers": "tokenizer", "plans": "plan", "threads": "file of thread counts"}


@dataclass(frozen=True, kw_only=True)
class CacheOptions(Options):
    """Show what vidya keeps for the next time: tokenizers, thread counts, plans.

    It saves time and nothing else: what is deleted is made again when it is needed. The folder is
    vidya in the user's cache folder, or the one that VIDYA_CACHE in the environment names.
    """

    clear: bool = False
    """Delete all of it."""


def main() -> int | None:
    """Show what is kept, or delete it."""
    options = parse(CacheOptions, "cache")
    folder = user_cache.cache_folder()
    if folder is None:
        raise UserError(f"there is no home folder to keep things in: set {user_cache.CHOSEN}")
    if options.clear:
        try:
            freed = user_cache.clear()
        except OSError as error:
            raise UserError(
                f"cannot delete {error.filename}: {error.strerror}: check the permissions"
            ) from error
        show(f"{folder}: {freed / 1e6:.1f} MB deleted")
        return 0
    found = user_cache.entries()
    size = sum(entry.size for entry in found)
    show(f"{folder}: {size / 1e6:.1f} MB, of at most {user_cache.MOST_BYTES / 1e6:.0f}")
    for kind, name in _NAMES.items():
        those = [entry for entry in found if entry.kind == kind]
        if those:
            day = "?"
            with contextlib.suppress(OverflowError, OSError, ValueError):
                day = datetime.date.fromtimestamp(those[-1].used).isoformat()
            show(f"  {plural(len(those), name)}, {_megabytes(those)}, last used on {day}")
    if found:
        show("vidya cache --clear deletes all of it")
    return 0


def _megabytes(entries: list[user_cache.Entry]) -> str:
    return f"{sum(entry.size for entry in entries) / 1e6:.1f} MB"


if __name__ == "__main__":
    raise SystemExit(run_command(main))
