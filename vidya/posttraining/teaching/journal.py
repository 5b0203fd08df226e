"""The journal of a taught model: every lesson, written down before it is learnt.

`teach.jsonl` in the run folder, one JSON object a line:

- the first line says what the lessons began with: `{"journal": 3, "base": {name, kind,
  digest}, "tokenizer": hash}`;
- `{"lesson": n, "turns", "candidates", "pick", "answer", "settings", "forms", "time"}`
  (vidya/posttraining/teaching/lesson.py);
- `{"undo": n}` takes lesson n back, the last that counted then.

Lines are only ever added, each flushed to the disk before anything follows from it; the first
alone changes, when a journal of format 2 gets a lesson. A last line that a crash cut short was
not learnt: it is cut off before the next is added.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from vidya.errors import UserError
from vidya.posttraining.teaching.lesson import Lesson, parse_lesson
from vidya.storage.line_file import LineFile
from vidya.system.atomic_file import write_bytes

FORMAT = 3
_READ = (2, FORMAT)
"""Formats that are read. A journal of format 2 becomes one of format 3 with its next lesson; those
that it has keep their lines, and are learnt again as they were learnt then."""


@dataclass
class Journal:
    """A journal that is open to be read and added to."""

    path: Path
    base: dict[str, str]
    """`name`, `kind` and `digest` of the checkpoint that the lessons began with."""
    tokenizer_hash: str
    lessons: list[Lesson] = field(default_factory=list)
    """Those that count, in order: not those taken back."""
    taught: int = 0
    """Lessons so far, those taken back included."""
    format: int = FORMAT
    """Of the file."""

    @classmethod
    def begin(cls, path: Path, base: Mapping[str, str], tokenizer_hash: str) -> Journal:
        """Write a journal without lessons.

        Raises:
            UserError: the folder cannot be written to.
        """
        first = _line({"journal": FORMAT, "base": dict(base), "tokenizer": tokenizer_hash})
        write_bytes(path, first)
        return cls(path, dict(base), tokenizer_hash)

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Read a journal.

        Raises:
            UserError: it cannot be read, or a line other than an unfinished last one is not
                what this version writes; names the line.
        """
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise UserError(f"cannot read the journal {path}: {error.strerror}") from error
        *lines, _ = raw.split(b"\n")
        if not lines:
            raise UserError(f"{path} is no journal of lessons: move it away")
        try:
            first = json.loads(lines[0])
            if first["journal"] not in _READ:
                raise UserError(
                    f"{path} has format {first['journal']}, this version of vidya reads "
                    f"{' and '.join(map(str, _READ))}: "
                    "move it away to teach anew, or use the version that wrote it"
                )
            base = {name: str(first["base"][name]) for name in ("name", "kind", "digest")}
            journal = cls(path, base, str(first["tokenizer"]), format=first["journal"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} is no journal of lessons: move it away") from error
        for number, line in enumerate(lines[1:], 2):
            try:
                journal._enter(json.loads(line))
            except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
                raise UserError(
                    f"{path} is damaged in line {number}: cut the file before it, or move it away"
                ) from error
        return journal

    def add(self, lesson: Lesson) -> None:
        """Write a lesson down: it is on the disk when this returns.

        Raises:
            UserError: it cannot be written; the journal is as before.
        """
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._append({**lesson.plain(), "time": now})

    def take_back(self) -> Lesson:
        """Write down that the last lesson that counts does not; returns that lesson.

        Raises:
            UserError: there is none, or it cannot be written.
        """
        if not self.lessons:
            raise UserError("there is no lesson to take back")
        last = self.lessons[-1]
        self._append({"undo": last.number})
        return last

    def digests(self) -> list[str]:
        """What names the state after 0, 1, … lessons that count: by the base and these lessons.

        The time of a lesson is no part of it.
        """
        hashed = hashlib.blake2b(self.base["digest"].encode(), digest_size=32)
        names = [hashed.hexdigest()]
        for lesson in self.lessons:
            hashed.update(_line(lesson.plain()))
            names.append(hashed.hexdigest())
        return names

    def _enter(self, entry: Mapping[str, Any]) -> None:
        if "undo" in entry:
            if self.lessons[-1].number != entry["undo"]:
                raise ValueError("not the last lesson")
            self.lessons.pop()
        else:
            lesson = parse_lesson(entry)
            if lesson.number != self.taught:
                raise ValueError("lessons are missing")
            self.lessons.append(lesson)
            self.taught += 1

    def _append(self, entry: Mapping[str, Any]) -> None:
        line = _line(entry)
        try:
            if "lesson" in entry and self.format != FORMAT:
                self._rewrite()
            with LineFile(self.path, create=False) as file:
                file.append(line, sync=True)
        except OSError as error:
            raise UserError(
                f"cannot write to the journal {self.path}: {error.strerror}: nothing was learnt"
            ) from error
        self._enter(json.loads(line))

    def _rewrite(self) -> None:
        """Make it a journal of this format: its first line says so, the others stay."""
        lines = self.path.read_bytes().splitlines(keepends=True)
        first = {**json.loads(lines[0]), "journal": FORMAT}
        write_bytes(self.path, b"".join([_line(first), *lines[1:]]))
        self.format = FORMAT


def _line(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
