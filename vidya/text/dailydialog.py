"""The files of DailyDialog, as documents."""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import IO

from vidya.errors import UserError
from vidya.system.atomic_file import StrPath
from vidya.text.conversation_format import conversation
from vidya.text.corpus_file import Dropped, documents_of_file, open_input

_EOU = "__eou__"
_MAX_ZIP_DEPTH = 3


def dailydialog_documents(path: StrPath, dropped: Dropped | None = None) -> Iterator[str]:
    """The dialogues of DailyDialog: a text file, or a zip with such files or zips in it.

    A line is a dialogue, `__eou__` ends an utterance, speakers alternate. Of a zip, the
    files `dialogues_*.txt` with text are read (not those with labels), and
    `dialogues_text.txt`, which repeats the others, only where it is alone. Dialogues
    of fewer than two utterances are dropped, and counted in `dropped`.

    Raises:
        UserError: not UTF-8, a damaged zip, no dialogues in it.
    """
    name = os.fspath(path)
    with open_input(path) as file:
        if not zipfile.is_zipfile(file):
            file.seek(0)
            yield from _dialogues(file, name, dropped)
            return
        try:
            yield from _zipped_dialogues(file, name, dropped, depth=1)
        # What zipfile raises for damage, for a password, for an unknown compression.
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise UserError(f"cannot unpack {name}: {error}: fetch it again") from error


def _zipped_dialogues(
    file: IO[bytes], name: str, dropped: Dropped | None, depth: int
) -> Iterator[str]:
    with zipfile.ZipFile(file) as archive:
        members = _dialogue_members(archive.namelist())
        if not members:
            raise UserError(f"{name} holds no dialogues_*.txt: is it DailyDialog?")
        for member in members:
            with archive.open(member) as inner:
                if not member.endswith(".zip"):
                    yield from _dialogues(inner, f"{name}/{member}", dropped)
                elif depth < _MAX_ZIP_DEPTH:
                    yield from _zipped_dialogues(inner, f"{name}/{member}", dropped, depth + 1)


def _dialogue_members(names: Iterable[str]) -> list[str]:
    """Members of a DailyDialog zip that hold dialogues, whole text last and only if alone."""
    chosen, whole = [], []
    for name in sorted(names):
        base = PurePosixPath(name).name
        if "__MACOSX" in name or base.startswith("."):
            continue
        if base == "dialogues_text.txt":
            whole.append(name)
        elif base.endswith(".zip") or re.fullmatch(r"dialogues_(?!act|emotion|topic).*\.txt", base):
            chosen.append(name)
    return chosen or whole


def _dialogues(file: IO[bytes], name: str, dropped: Dropped | None) -> Iterator[str]:
    recognised = False
    for line in documents_of_file(file, name):
        recognised = recognised or _EOU in line
        utterances = [part for part in line.split(_EOU) if part.strip()]
        if len(utterances) >= 2:
            yield conversation(utterances)
        elif dropped is not None:
            dropped["fewer than two turns"] += 1
    if not recognised:
        raise UserError(f"{name} has no {_EOU} in it: it is not a text of DailyDialog")
