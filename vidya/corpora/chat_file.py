"""Files of conversations, in any layout that people keep them in, as documents.

- What a file is is told from its first bytes: JSONL, JSON, CSV, parquet, Arrow, or turns
  written out as text; packed or not.
- The layout (`chat_rows`) is told of each row, so a file may mix them.
- Rows are read as they are asked for: memory holds a few hundred, however long the file is.
- A row that cannot be read is skipped, told and counted, up to a limit; a conversation
  that cannot be used is dropped, and counted by reason.
"""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from vidya.corpora.bad_rows import BadRows, MostBad
from vidya.corpora.conversation_turns import System, conversation_document
from vidya.errors import UserError
from vidya.system.atomic_file import StrPath
from vidya.terminal.formatting import plural
from vidya.text import separators
from vidya.text.conversation_format import LINE_BREAK
from vidya.text.conversation_layouts import (
    ENDS_WITH_USER,
    LEFT_OUT,
    conversations_in,
    counted_things,
)
from vidya.text.corpus_file import Dropped, convert, read_lines
from vidya.text.speaker_marks import names_before_lines
from vidya.text.tokenised_text import restored
from vidya.user_files.chat_rows import KNOWN, messages_of
from vidya.user_files.chat_transcripts import transcript_messages
from vidya.user_files.file_kind import HEAD, FileKind
from vidya.user_files.file_rows import ROW_KINDS, rows_of
from vidya.user_files.located_row import BadRow, Row
from vidya.user_files.refusals import refusal
from vidya.user_files.text_input import open_any
from vidya.user_files.text_lines import lines_of

_LINES = (FileKind.JSON, FileKind.JSON_LINES, FileKind.TABLE, FileKind.TEXT)
_LONGEST = 1 << 28
"""Characters of a conversation that is written out in a text file."""


def convert_chat(
    paths: Sequence[Path],
    out: Path,
    *,
    system: System = "drop",
    max_bad: str = "1%",
    as_is: bool = False,
) -> str:
    """Write the conversations of files as a corpus; the lines that say what became of them.

    Args:
        paths: the files, one at least.
        out: the corpus file to write, whole or not at all.
        system: what becomes of system messages.
        max_bad: bad rows that each file may have, as `MostBad.of` reads it.
        as_is: keep the spaces around marks of tokenised text.

    Raises:
        UserError: a file has no conversations, is damaged, or has more bad rows; nothing is
            written.
    """
    reader = ChatReader(system, MostBad.of(max_bad))
    line = convert(paths, out, reader.documents if as_is else reader.restored, reader.left_out)
    skipped = f"; skipped: {reader.bad:,} bad" if reader.bad else ""
    if reader.left_out["system message"]:
        skipped += " (--system merge keeps what system messages say)"
    return "\n".join([*reader.told, line + skipped])


class ChatReader:
    """Reads files of conversations, and remembers what it found in them."""

    def __init__(self, system: System = "drop", most_bad: MostBad | None = None) -> None:
        self._system = system
        self._most = most_bad or MostBad()
        self.left_out = Dropped()
        """Messages and parts left out of conversations that were kept."""
        self.told: list[str] = []
        """What each file was, and its first bad rows."""
        self.bad = 0

    def documents(self, path: StrPath, dropped: Dropped) -> Iterator[str]:
        """The conversations of a file, as documents that keep line breaks.

        Args:
            path: the file.
            dropped: counts conversations that could not be used.

        Raises:
            UserError: no file of conversations, a damaged one, or too many bad rows.
        """
        name = os.fspath(path)
        file, kind = open_any(path)
        layouts: Counter[str] = Counter()
        done: Counter[str] = Counter()
        dropped_before = dropped.total()
        with file:
            if kind is FileKind.TEXT:
                rows = _written_out(file, path, name, self._system, done)
            elif kind in ROW_KINDS:
                rows = rows_of(file, kind, name, KNOWN)
            else:
                raise UserError(refusal(kind, name, file.peek(HEAD)[:HEAD]))
            bad = BadRows(name, "line" if kind in _LINES else "row", self._most)
            for row in rows:
                bad.rows += 1
                if (document := self._document(row, bad, layouts, dropped)) is not None:
                    yield document
        if bad.bad and not layouts and dropped.total() == dropped_before:
            bad.most = MostBad(None, 0)
        bad.check()
        self.bad += bad.bad
        self.told.append(_found(name, layouts, bad))
        self.left_out["system message"] += done.pop(LEFT_OUT, 0)
        if done:
            self.told.append(f"{name}: {counted_things(done)}")
        self.told += bad.shown

    def restored(self, path: StrPath, dropped: Dropped) -> Iterator[str]:
        """`documents`, with the spaces that people write where the file is tokenised text."""
        return restored(self.documents(path, dropped), os.fspath(path), self.told.append)

    def _document(
        self, row: Row | BadRow, bad: BadRows, layouts: Counter[str], dropped: Dropped
    ) -> str | None:
        """A row as a document; None for one that is counted as bad or dropped."""
        left_out = Dropped()
        try:
            if isinstance(row, BadRow):
                raise LookupError(row.reason)
            layout, messages = messages_of(row.value, left_out)
            document = conversation_document(messages, left_out, self._system)
            layouts[layout] += 1
        except LookupError as error:
            bad.add(BadRow(row.line, str(error.args[0])))
            return None
        except ValueError as error:
            dropped[str(error)] += 1
            return None
        self.left_out.update(left_out)
        return document


def _found(name: str, layouts: Counter[str], bad: BadRows) -> str:
    """What a file was, in a line."""
    found = "; ".join(
        f"{layout}, {plural(count, 'conversation')}" for layout, count in layouts.most_common()
    )
    skipped = f"; {plural(bad.bad, f'bad {bad.unit}')} skipped" if bad.bad else ""
    more = f", the first {len(bad.shown)} of them" if bad.bad > len(bad.shown) else ""
    return f"{name}: {found or 'no conversations'}{skipped}{more}"


def _written_out(
    file: io.BufferedReader, path: StrPath, name: str, system: System, done: Counter[str]
) -> Iterator[Row | BadRow]:
    """The conversations of a text file whose turns are written out, as rows with a `text`.

    What stands between common separators, or lines of `---`, is one; where there are none,
    `conversation_layouts` decides, which has no place for what a system says. What that did to
    turns is added to `done`.
    """
    beginning = file.peek(HEAD)[:HEAD].decode("utf-8", "replace").lstrip("\ufeff")
    separator = separators.common_separator(beginning) or separators.rule_of(beginning)
    if separator is None and system == "drop":
        laid_out = conversations_in(lambda: read_lines(path))
        for one in laid_out or ():
            if one.fault is None or one.fault == ENDS_WITH_USER:
                yield Row(one.line, {"text": one.text.replace(LINE_BREAK, "\n")})
            else:
                yield BadRow(one.line, one.fault)
        if laid_out is not None:
            done.update(laid_out.done)
            return
    found = False
    for number, block in _blocks(lines_of(file, name), separator or ""):
        if not block.strip():
            continue
        written = transcript_messages(block)
        found = found or written is not None
        if not found:
            if names := names_before_lines(read_lines(path)):
                raise UserError(
                    f"most lines of {name} begin with {names[0]}: or {names[1]}:, and who of them "
                    "is the assistant is not clear: write User: and Assistant: instead, with "
                    "nothing before them"
                )
            raise UserError(
                f"{name} holds no conversations: they are JSON, JSONL, CSV or parquet with a row "
                "each, or text such as “User: … Assistant: …”; python -m vidya.data text takes "
                "any other text"
            )
        yield Row(number, {"text": block}) if written else BadRow(number, "no turns in it")


def _blocks(lines: Iterator[str], separator: str) -> Iterator[tuple[int, str]]:
    """Text between lines of a separator, or blank ones for an empty one, and where it begins."""
    block: list[str] = []
    begin, size = 1, 0
    for number, line in enumerate(lines, start=1):
        if line.strip() == separator:
            yield begin, "\n".join(block)
            block, begin, size = [], number + 1, 0
            continue
        block.append(line)
        size += len(line)
        if size > _LONGEST:
            raise UserError(f"a conversation of more than {_LONGEST:,} characters: cut it")
    yield begin, "\n".join(block)
