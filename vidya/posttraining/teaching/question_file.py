"""`teach_question.json`: what `vidya.teach --ask` leaves for --pick, --answer and --reject."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from vidya.errors import UserError
from vidya.posttraining.teaching.lesson import Candidate, parse_candidate
from vidya.system.atomic_file import write_bytes


def write_question(
    path: Path, taught: int, turns: Sequence[str], candidates: Sequence[Candidate]
) -> None:
    """Remember a conversation and the candidates for its next turn.

    `taught` lessons are in the journal so far: an answer counts as long as there is no other.
    """
    write_bytes(path, json.dumps({
        "taught": taught,
        "turns": turns,
        "candidates": [one.plain() for one in candidates],
    }).encode())  # fmt: skip


def read_question(path: Path, taught: int) -> tuple[tuple[str, ...], list[Candidate]]:
    """Turns and candidates of the last question, after `taught` lessons.

    Raises:
        UserError: there is none, it has been answered, or the file is damaged.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        candidates = [parse_candidate(one) for one in found["candidates"]]
        turns, asked_after = tuple(found["turns"]), found["taught"]
    except FileNotFoundError:
        raise UserError("nothing was asked: --ask TEXT first") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged: --ask again") from error
    if asked_after != taught:
        raise UserError("that question has been answered: --ask again")
    return turns, candidates
