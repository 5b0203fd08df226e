"""What a trained model has been through since: fine-tuning, lessons, reinforcement learning.

Told in words, by the metadata of its checkpoint and the files that lie beside it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vidya.storage.run_files import RunFiles
from vidya.terminal.formatting import plural


def story(checkpoint: Path, meta: Mapping[str, Any]) -> list[str]:
    """What was done to the weights of a checkpoint after their training, in its order.

    Args:
        checkpoint: the file; its neighbours tell what it does not.
        meta: its metadata.

    Returns:
        Such as `fine-tuned on persona.txt` and `12 lessons`; nothing for a model that was only
        trained.
    """
    kind, run = meta.get("kind"), RunFiles(checkpoint.parent)
    if kind == "exported":
        return [str(words) for words in meta.get("story", ())]
    origin = meta.get("origin")
    before = origin.get("kind") if isinstance(origin, Mapping) else None
    told = []
    if "finetuned" in (kind, before):
        files = fine_tuned_on(run)
        told.append("fine-tuned" + (f" on {', '.join(files)}" if files else ""))
    if "rl" in (kind, before):
        about = meta.get("rl")
        reward = about.get("reward") if isinstance(about, Mapping) else None
        told.append(f"rewarded by {reward}" if reward else "trained by rewards")
    if "taught" in (kind, before):
        told.append(plural(lessons_given(run), "lesson"))
    return told


def fine_tuned_on(run: RunFiles) -> list[str]:
    """Names of the files of the newest fine-tuning in a run folder, as far as it says."""
    for line in reversed(_lines(run.finetune_metrics, b'"kind"')):
        files = line.get("files")
        if line.get("kind") == "finetune" and isinstance(files, list):
            return [Path(str(name)).name for name in files]
    return []


def lessons_given(run: RunFiles) -> int:
    """Lessons in the journal of a run folder that count: those taken back do not."""
    lines = _lines(run.lessons, b'{"')
    return sum("lesson" in line for line in lines) - sum("undo" in line for line in lines)


def _lines(path: Path, mark: bytes) -> list[dict[str, Any]]:
    """The JSON objects of a file's lines that hold `mark`; what is damaged is passed over."""
    found = []
    with contextlib.suppress(OSError), open(path, "rb") as file:
        for raw in file:
            with contextlib.suppress(ValueError, RecursionError):
                line = json.loads(raw) if mark in raw else None
                if isinstance(line, dict):
                    found.append(line)
    return found
