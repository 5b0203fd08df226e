"""The errors that a user can cause, each of which becomes one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
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


@contextmanager
def options_named_as_arguments() -> Iterator[None]:
    """Tell errors as a caller in Python knows them: `--max-tokens` is its argument `max_tokens`."""
    try:
        yield
    except UserError as error:
        told = error.naming("--out") if isinstance(error, PlaceError) else str(error)
        error.args = (_OPTION.sub(lambda found: _argument(found[0]), told),)
        raise


_OPTION = re.compile(r"python -m vidya[^,:;`]*|--[a-z]+(?:-[a-z]+)*")
"""An option; a command to copy is found first, so that its options stay what they are."""


def _argument(found: str) -> str:
    return found[2:].replace("-", "_") if found.startswith("--") else found
