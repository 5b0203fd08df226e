"""`teach_question.json`: what `vidya.teach --ask` leaves for --pick, --answer and --reject."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from vidya.errors import UserError
from vidya.posttraining.teaching.lesson import Candidate
from vidya.system.atomic_file import write_bytes


def write_question(
    path: Path, taught: int, turns: Sequence[str], candidates: Sequence[Candidate]
) -> None:
    """Remember a question and the candidates that were offered.

    Args:
        path: the file.
        taught: lessons in the journal so far, taken back ones included: an answer counts only
            as long as there is no other.
        turns: the conversation, the user's message last.
        candidates: what the model offered.
    """
    write_bytes(path, json.dumps({
        "taught": taught,
        "turns": turns,
        "candidates": [{"text": one.text, "ids": one.ids} for one in candidates],
    }).encode())  # fmt: skip


def read_question(path: Path, taught: int) -> tuple[tuple[str, ...], list[Candidate]]:
    """Turns and candidates of the last question, after `taught` lessons.

    Raises:
        UserError: there is none, it has been answered, or the file is damaged.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        candidates = [Candidate(one["text"], tuple(one["ids"])) for one in found["candidates"]]
        turns, asked_after = tuple(found["turns"]), found["taught"]
    except FileNotFoundError:
        raise UserError("nothing was asked: --ask TEXT first") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged: --ask again") from error
    if asked_after != taught:
        raise UserError("that question has been answered: --ask again")
    return turns, candidates
