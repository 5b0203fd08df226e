"""A row of somebody's file, with where it stands, or why it cannot be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """What was read."""

    line: int
    """Where it begins in the file; the number of the row where there are no lines."""
    value: Any


@dataclass(frozen=True)
class BadRow:
    """What could not be read, or is no conversation."""

    line: int
    reason: str
