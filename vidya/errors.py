"""The errors that a user can cause, and the one line they become."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Something the user can mend: shown as one line, exit status 2, no traceback."""


class PlaceError(UserError):
    """Something cannot be written where it should go."""

    def __init__(self, what: str, mend: str, joint: str | None = None, *, after: str = "") -> None:
        """Make an error that a command may add to (`place_chosen_with`).

        Args:
            what: what is wrong.
            mend: what helps.
            joint: what joins `mend` and the choice of another place where a command offers
                that choice; None: the choice stands in place of `mend`.
            after: what else the user wants to know.
        """
        super().__init__(f"{what}: {mend}{after}")
        self._what, self._after = what, after
        self._mend = "" if joint is None else mend + joint

    def naming(self, option: str) -> str:
        """The message, with the option that chooses another place."""
        return f"{self._what}: {self._mend}use another {option}{self._after}"


@contextmanager
def place_chosen_with(option: str) -> Iterator[None]:
    """Name `option` in the errors of a command that lets its user choose where to write."""
    try:
        yield
    except PlaceError as error:
        raise UserError(error.naming(option)) from error


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
