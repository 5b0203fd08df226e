"""Plain text as documents: by line, paragraph, passage, separator or whole file.

A book is one line of thought. Cut into lines, or even paragraphs, most of what a window
of the model could see of it is thrown away; passages of several paragraphs fill the window.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from vidya.corpora.text_rows import COLUMN, column_documents
from vidya.errors import UserError
from vidya.system.atomic_file import StrPath
from vidya.text import conversation_format, corpus_file, separators
from vidya.text.corpus_file import Dropped
from vidya.text.tokenised_text import restored
from vidya.user_files import text_input
from vidya.user_files.file_kind import HEAD, FileKind
from vidya.user_files.file_rows import ROW_KINDS
from vidya.user_files.refusals import first_row
from vidya.user_files.text_lines import tell

By = Literal["line", "paragraph", "passage", "file"]
PASSAGE = 4000
"""Characters of a passage: about two windows of 512 tokens."""


@dataclass(frozen=True, kw_only=True)
class TextLayout:
    """How the documents of a text file are told from each other."""

    by: By | None = None
    """What becomes of a document: a line that is not blank (the default), a paragraph (text
    between blank lines), a passage of several paragraphs, or a whole file."""
    characters: int = PASSAGE
    """Length of a passage, about."""
    separator: str | None = None
    """What stands between documents: a mark (`<|endoftext|>`), a line (`---`), or `\\n\\n` for
    blank lines; `<|endoftext|>` and the like are recognised on lines of their own."""
    column: str | None = None
    """Where the texts stand in JSON, CSV or parquet; `text` if it is not given."""
    encoding: str | None = None
    """Encoding of the files, such as cp1252 or gb18030; UTF-8 and UTF-16 are recognised."""
    as_is: bool = False
    """Keep the spaces around marks of tokenised text (`Hello , you .`), which else is written as
    people write it. And without --by, --separator and --column take the lines as they stand,
    even if they are JSON, a table or separators; such lines get a space before them, by which
    they stay text for every other command."""

    def check(self) -> None:
        """UserError for settings that contradict each other."""
        if self.characters < 1:
            raise UserError(f"a passage needs at least 1 character, not {self.characters}")
        given = {
            "--by": self.by, "--separator": self.separator, "--column": self.column,
        }  # fmt: skip
        named = [option for option, value in given.items() if value is not None]
        if len(named) > 1:
            raise UserError(f"{' and '.join(named)} say what a document is: give one of them")
        if self.separator is not None:
            separators.Separator(self.separator)

    def documents(self, path: StrPath, dropped: Dropped) -> Iterator[str]:
        """The documents of a file. Turn markers in it are turn markers.

        Tokenised text is written as people write it, unless `as_is`.

        Raises:
            UserError: the file cannot be read, or not in this way.
        """
        if not self.as_is:
            return restored(self._as_written(path, dropped), os.fspath(path), tell)
        if self.by or self.separator is not None or self.column is not None:
            return self._as_written(path, dropped)
        return _as_is(path, self.encoding)

    def _as_written(self, path: StrPath, dropped: Dropped) -> Iterator[str]:
        name = os.fspath(path)
        if self.encoding is None:
            file, kind = text_input.open_any(path)
            with file:
                if kind in ROW_KINDS and (self.column or _has_column(file, kind, COLUMN)):
                    column = self.column or COLUMN
                    yield from column_documents(file, kind, name, dropped, column)
                    return
        if self.column is not None:
            raise UserError(f"{name} has no columns: leave out --column")
        if self.separator is not None:
            lines = corpus_file.read_lines(path, self.encoding)
            yield from separators.Separator(self.separator).documents(lines, name)
        else:
            yield from text_documents(path, self.by or "line", self.characters, self.encoding)


def text_documents(
    path: StrPath, by: By = "line", characters: int = PASSAGE, encoding: str | None = None
) -> Iterator[str]:
    """A text file as documents. Turn markers in it are turn markers.

    - `line`: a line is a document, as it stands.
    - `paragraph`: what stands between blank lines; its lines are joined by spaces.
    - `passage`: paragraphs in a row, until they have `characters` characters; `↵↵`
      stands between them.
    - `file`: all paragraphs of the file as one document, which memory must hold.

    Raises:
        UserError: the file cannot be read, or `characters` is below 1.
    """
    if characters < 1:
        raise UserError(f"a passage needs at least 1 character, not {characters}")
    if by == "line":
        return corpus_file.read_documents(path, encoding)
    found = _paragraphs(path, encoding)
    if by == "paragraph":
        return found
    return _passages(found, characters if by == "passage" else None)


def _has_column(file: io.BufferedReader, kind: FileKind, column: str) -> bool:
    """Whether the first row of a file names a column, as far as its beginning tells."""
    if kind not in (FileKind.JSON, FileKind.JSON_LINES, FileKind.TABLE):
        return True
    first = first_row(kind, file.peek(HEAD)[:HEAD])
    return isinstance(first, dict) and column in first


def _as_is(path: StrPath, encoding: str | None) -> Iterator[str]:
    """Lines that are not blank, with a space where another command would take them for more."""
    file, kind = text_input.open_any(path)
    file.close()
    header = kind is FileKind.TABLE
    with text_input.open_text(path, encoding, as_is=True) as file:
        for line in corpus_file.documents_of_file(file, os.fspath(path)):
            special = header or line[0] in "{[" or line.rstrip() in separators.COMMON
            yield f" {line}" if special else line
            header = False


def _paragraphs(path: StrPath, encoding: str | None) -> Iterator[str]:
    words: list[str] = []
    for line in corpus_file.read_lines(path, encoding):
        some = line.split()
        if some:
            words += some
        elif words:
            yield " ".join(words)
            words = []
    if words:
        yield " ".join(words)


def _passages(paragraphs: Iterable[str], characters: int | None) -> Iterator[str]:
    """Paragraphs joined until they are long enough; all of them if None."""
    between = 2 * conversation_format.LINE_BREAK
    together: list[str] = []
    size = 0
    for paragraph in paragraphs:
        together.append(paragraph)
        size += len(paragraph)
        if characters is not None and size >= characters:
            yield between.join(together)
            together, size = [], 0
    if together:
        yield between.join(together)
