"""The corpus of the pip package `chitchat-dataset`, as documents."""

from __future__ import annotations

import importlib.util
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vidya.errors import UserError
from vidya.text.conversation_format import conversation
from vidya.text.corpus_file import Dropped


def chitchat_documents(dropped: Dropped | None = None) -> Iterator[str]:
    """The conversations of the pip package `chitchat-dataset`, in the order of their ids.

    Messages that one person sends in a row are one turn. Conversations in which only
    one person says anything are dropped, and counted in `dropped`.

    Raises:
        UserError: the package is not installed, or its data cannot be read.
    """
    conversations = _load_chitchat()
    for key in sorted(conversations):
        # they stand there in groups
        messages = itertools.chain.from_iterable(conversations[key]["messages"])
        spoken = (message for message in messages if message["text"].strip())
        by_sender = itertools.groupby(spoken, key=lambda message: message["sender"])
        turns = [" ".join(message["text"] for message in turn) for _, turn in by_sender]
        if len(turns) >= 2:
            yield conversation(turns)
        elif dropped is not None:
            dropped["one-sided"] += 1


def chitchat_path() -> Path:
    """Where the data of the pip package `chitchat-dataset` lies; `UserError` without it."""
    spec = importlib.util.find_spec("chitchat_dataset")
    if spec is None or spec.origin is None:
        raise UserError(
            "the chitchat corpus is not installed: python -m pip install chitchat-dataset"
        )
    return Path(spec.origin).with_name("dataset.json")


def _load_chitchat() -> dict[str, Any]:
    # The package's own loader decodes by the locale, so its data is read directly.
    path = chitchat_path()
    try:
        conversations: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot read {path}: python -m pip install --force-reinstall chitchat-dataset"
        ) from error
    return conversations
