"""The files of DailyDialog, as documents: text, zips, and the tables that hubs make of it."""

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
from vidya.text.corpus_file import Dropped, documents_of_file
from vidya.text.natural_spacing import natural_spacing
from vidya.user_files.chat_rows import utterances
from vidya.user_files.file_kind import HEAD, FileKind
from vidya.user_files.file_rows import ROW_KINDS, rows_of
from vidya.user_files.located_row import BadRow, Row
from vidya.user_files.refusals import refusal
from vidya.user_files.text_input import open_any

_EOU = "__eou__"
_RAN_TOGETHER = re.compile(r"(?<=[a-z]{2})([.!?])(?=[A-Z][a-z']*(?: |$))")
"""Sentences without a space between them, of which the corpus has some hundreds."""
_COLUMNS = ("dialog", "dialogue", "utterances", "turns")
_MAX_ZIP_DEPTH = 3


def dailydialog_documents(
    path: StrPath, dropped: Dropped | None = None, *, as_is: bool = False
) -> Iterator[str]:
    """The dialogues of DailyDialog: text, a zip with such files or zips in it, or a table.

    A line is a dialogue, `__eou__` ends an utterance, speakers alternate. Of a zip, the
    files `dialogues_*.txt` with text are read (not those with labels), and
    `dialogues_text.txt`, which repeats the others, only where it is alone. A table (parquet,
    CSV, JSON) has a column `dialog`, `dialogue` or `utterances` with a list of texts, which in
    CSV stands as Python or NumPy writes it. Dialogues of fewer than two utterances are
    dropped, and counted in `dropped`, as are rows without such a list.

    The corpus sets marks apart (`Hello , how are you ?`); unless `as_is`, the spaces that
    people write come back (vidya/text/natural_spacing.py).

    Raises:
        UserError: not UTF-8, a damaged zip, no dialogues in it.
    """
    dropped = Dropped() if dropped is None else dropped
    for said in _dialogues_of(path, dropped):
        turns = [text for text in said if text.strip()]
        if len(turns) < 2:
            dropped["fewer than two turns"] += 1
        else:
            yield conversation(turns if as_is else map(_as_people_write, turns))


def _as_people_write(turn: str) -> str:
    return natural_spacing(_RAN_TOGETHER.sub(r"\1 ", turn))


def _dialogues_of(path: StrPath, dropped: Dropped) -> Iterator[list[str]]:
    """The utterances of each dialogue, empty ones among them."""
    name = os.fspath(path)
    file, kind = open_any(path)
    with file:
        if kind in ROW_KINDS:
            yield from _dialogues_in_rows(rows_of(file, kind, name), name, dropped)
            return
        if kind is not FileKind.ZIP:
            if kind is not FileKind.TEXT:
                raise UserError(refusal(kind, name, file.peek(HEAD)[:HEAD]))
            yield from _dialogues(file, name)
            return
        try:
            yield from _zipped_dialogues(file, name, depth=1)
        # What zipfile raises for damage, for a password, for an unknown compression.
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise UserError(f"cannot unpack {name}: {error}: fetch it again") from error


def _dialogues_in_rows(
    rows: Iterable[Row | BadRow], name: str, dropped: Dropped
) -> Iterator[list[str]]:
    recognised = False
    for row in rows:
        fields = row.value if isinstance(row, Row) and isinstance(row.value, dict) else {}
        found = next((fields[column] for column in _COLUMNS if column in fields), None)
        said = utterances(found)
        if not isinstance(said, list) or not all(isinstance(text, str) for text in said):
            dropped["bad" if isinstance(row, BadRow) else "without a list of utterances"] += 1
            continue
        recognised = True
        yield said
    if not recognised:
        columns = ", ".join(_COLUMNS)
        raise UserError(f"{name} has no lists of texts in {columns}: it is not DailyDialog")


def _zipped_dialogues(file: IO[bytes], name: str, depth: int) -> Iterator[list[str]]:
    with zipfile.ZipFile(file) as archive:
        members = _dialogue_members(archive.namelist())
        if not members:
            raise UserError(f"{name} holds no dialogues_*.txt: is it DailyDialog?")
        for member in members:
            with archive.open(member) as inner:
                if not member.endswith(".zip"):
                    yield from _dialogues(inner, f"{name}/{member}")
                elif depth < _MAX_ZIP_DEPTH:
                    yield from _zipped_dialogues(inner, f"{name}/{member}", depth + 1)


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


def _dialogues(file: IO[bytes], name: str) -> Iterator[list[str]]:
    recognised = False
    for line in documents_of_file(file, name):
        recognised = recognised or _EOU in line
        yield line.split(_EOU)
    if not recognised:
        raise UserError(f"{name} has no {_EOU} in it: it is not a text of DailyDialog")
