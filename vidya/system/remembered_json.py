"""JSON files that only save time: what is not there, or is no JSON, is found out again.

The files' own modules say what stands in them and when it still holds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vidya.system.atomic_file import write_bytes


def recall_json(path: Path) -> Any:
    """What `remember_json` wrote; None for a file that is missing or damaged."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def remember_json(path: Path, content: Any, *, end: str = "") -> None:
    """Write JSON and `end` after it, whole or not at all.

    Raises:
        UserError, OSError: it cannot be written; what stood there stays.
    """
    write_bytes(path, (json.dumps(content, indent=1) + end).encode())
