"""Plain text as documents: by line, paragraph, passage or whole file.

A book is one line of thought. Cut into lines, or even paragraphs, most of what a window
of the model could see of it is thrown away; passages of several paragraphs fill the window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from vidya.errors import UserError
from vidya.system.atomic_file import StrPath
from vidya.text import conversation_format, corpus_file

By = Literal["line", "paragraph", "passage", "file"]
PASSAGE = 4000
"""Characters of a passage: about two windows of 512 tokens."""


def text_documents(path: StrPath, by: By = "line", characters: int = PASSAGE) -> Iterator[str]:
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
        return corpus_file.read_documents(path)
    found = _paragraphs(path)
    if by == "paragraph":
        return found
    return _passages(found, characters if by == "passage" else None)


def _paragraphs(path: StrPath) -> Iterator[str]:
    words: list[str] = []
    for line in corpus_file.read_lines(path):
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
