"""Corpus files: UTF-8 text, a document a line."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from vidya.errors import UserError
from vidya.system.atomic_file import StrPath, atomic_write, is_special
from vidya.system.read_once import called
from vidya.system.replaced_output import require_replaceable_text
from vidya.text import separators
from vidya.user_files import text_input
from vidya.user_files.file_kind import HEAD
from vidya.user_files.text_lines import lines_of, tell

Dropped = Counter[str]
"""How many documents a converter dropped, by reason."""


def read_documents(path: StrPath, encoding: str | None = None) -> Iterator[str]:
    r"""The documents of a corpus file, one a line, without line ends; blank lines are skipped.

    Lines end at `\n` alone: a document may hold U+2028, U+0085 and the like. In a file that has
    a common separator (`<|endoftext|>`) on lines of its own, documents are what stands between.
    `encoding` is as in `text_input.open_text`.

    Raises:
        UserError: the file is missing, no plain text, or damaged (file and line named).
    """
    name = os.fspath(path)
    with text_input.open_text(path, encoding) as file:
        beginning = file.peek(HEAD)[:HEAD].decode("utf-8", "replace")
        separator = separators.common_separator(beginning)
        if separator is None:
            if found := separators.hint(beginning, name):
                tell(found)
            for document in documents_of_file(file, name):
                if document[0] in "<[" and document.rstrip() in separators.COMMON:
                    tell(separators.late_hint(document.rstrip(), name))
                yield document
        else:
            tell(f"{name}: its documents are what stands between {separator}")
            yield from separators.Separator(separator).documents(lines_of(file, name), name)


def read_lines(
    path: StrPath, encoding: str | None = None, *, tables: bool = False
) -> Iterator[str]:
    """The lines of a text file, blank ones too, as they stand; arguments as in `open_text`."""
    with text_input.open_text(path, encoding, tables=tables) as file:
        yield from lines_of(file, called(path))


def check_input(path: StrPath, *, tables: bool = False) -> None:
    """`UserError` if a user's text cannot be opened, or is none by its first bytes."""
    text_input.open_text(path, tables=tables).close()


def require_documents(documents: Iterable[str], name: str) -> Iterator[str]:
    """Pass the documents on; `UserError` when there is none, calling the corpus `name`."""
    iterator = iter(documents)
    for first in iterator:
        return itertools.chain([first], iterator)
    raise UserError(f"{name} holds no document: put text into it, one document a line")


def in_chunks(documents: Iterable[str], characters: int = 4_000_000) -> Iterator[list[str]]:
    """Documents in lists of about so many characters, and of one document at least."""
    chunk: list[str] = []
    size = 0
    for document in documents:
        chunk.append(document)
        size += len(document)
        if size >= characters:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def documents_of_file(file: Any, name: str) -> Iterator[str]:
    """The documents of an open corpus file; `name` is what an error calls it."""
    for line in lines_of(file, name):
        if line and not line.isspace():
            yield line


# ---------------------------------------------------------------- writing


def prepare_output(out: Path, others: Sequence[Path] = (), *, of_text: bool = True) -> None:
    """Make the folder of a file to be written, and refuse early what would fail late.

    Args:
        out: the file.
        others: files that it must not be.
        of_text: whether it is a corpus, which replaces nothing but text.

    Raises:
        UserError: `out` is a folder, is one of `others` (inputs, or another output), is a
            file that is no text of documents, or its folder cannot be made or written to.
    """
    if out.is_dir():
        raise UserError(f"{out} is a folder: name a file to write")
    for other in others:
        same = out.exists() and other.exists() and out.samefile(other)
        if same or os.path.realpath(out) == os.path.realpath(other):
            raise UserError(f"{out} is also named as another file of this command: name another")
    if is_special(out):
        return
    if of_text:
        require_replaceable_text(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {out.parent}: {error.strerror}") from error
    if not os.access(out.parent, os.W_OK):
        raise UserError(f"cannot write to the folder {out.parent}: name another output")


def convert(
    paths: Sequence[Path],
    out: Path,
    converter: Callable[[Path, Dropped], Iterable[str]],
    left_out: Dropped | None = None,
) -> str:
    """Write the documents that `converter` makes of each file; as `write_corpus`.

    Args:
        paths: the files, one at least.
        out: the corpus file to write.
        converter: reads a file, and counts the documents that it drops.
        left_out: parts left out of documents that were kept, which the converter counts.
    """
    if not paths:
        raise UserError("name at least one file to read")
    dropped = Dropped()
    documents = (document for path in paths for document in converter(path, dropped))
    return write_corpus(documents, out, paths, dropped, left_out)


def write_corpus(
    documents: Iterable[str],
    out: Path,
    inputs: Sequence[Path],
    dropped: Dropped,
    left_out: Dropped | None = None,
) -> str:
    """Write documents to the file `out` and return a line that says what was written.

    Args:
        documents: what to write, one a line.
        out: the file; its folder is made if need be.
        inputs: the files that `documents` reads, none of which may be `out`.
        dropped: documents dropped, counted while `documents` is read.
        left_out: parts left out of documents that were kept, counted likewise.

    Raises:
        UserError: `out` is an input or a folder, or there is no document.
    """
    prepare_output(out, inputs)
    left_out = Dropped() if left_out is None else left_out
    count = size = 0

    def write(file: IO[bytes]) -> None:
        nonlocal count, size
        for document in documents:
            size += file.write(_encoded(document, left_out) + b"\n")
            count += 1
        if not count:
            name = ", ".join(map(called, inputs)) or "the source"
            if dropped.total():
                why = f"{_reasons(dropped)} dropped"
                raise UserError(f"{name}: nothing in it can be used: {why}")
            raise UserError(f"{name} holds no document: put text into it")

    atomic_write(out, write)
    parts = f"; left out of them: {_reasons(left_out)}" if left_out.total() else ""
    return f"{out}: {count:,} documents, {size:,} bytes; dropped: {_reasons(dropped)}{parts}"


def _encoded(document: str, left_out: Dropped) -> bytes:
    """A document without what no corpus can hold, which JSON can spell; that is counted."""
    if "\0" in document:
        left_out["NUL character"] += document.count("\0")
        document = document.replace("\0", "")
    try:
        return document.encode("utf-8")
    except UnicodeEncodeError:
        kept = document.encode("utf-8", "ignore")
        left_out["half of a surrogate pair"] += len(document) - len(kept.decode("utf-8"))
        return kept


def _reasons(counts: Dropped) -> str:
    some = sorted((reason, count) for reason, count in counts.items() if count)
    return ", ".join(f"{count:,} {reason}" for reason, count in some) or "none"
