"""The errors that a user can cause, and the one line they become."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


class UserError(Exception):
    """Something the user can mend: shown as one line, exit status 2, no traceback."""


def run_command(main: Callable[[], int | None]) -> int:
    """Call a command's `main` and turn its outcome into an exit status.

    Returns what `main` returned (None counts as 0), 2 for a `UserError` or an
    operating system error such as a full disk or a missing file, 130 for an
    interrupt that the command itself did not handle.
    """
    try:
        return main() or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader of our output went away (`| head`): not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        print(f"error: {error.strerror or error}{where}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
