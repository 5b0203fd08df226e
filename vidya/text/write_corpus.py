"""Writing a corpus file out of documents that a converter makes of somebody's files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO

from vidya.errors import UserError
from vidya.system.atomic_file import atomic_write
from vidya.text.corpus_file import Dropped, prepare_output


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
    count = size = 0

    def write(file: IO[bytes]) -> None:
        nonlocal count, size
        for document in documents:
            size += file.write(document.encode("utf-8") + b"\n")
            count += 1
        if not count:
            name = ", ".join(map(str, inputs)) or "the source"
            because = f" ({_reasons(dropped)} dropped)" if dropped.total() else ""
            raise UserError(f"{name} holds no document{because}: put text into it")

    atomic_write(out, write)
    parts = f"; left out of them: {_reasons(left_out)}" if left_out and left_out.total() else ""
    return f"{out}: {count:,} documents, {size:,} bytes; dropped: {_reasons(dropped)}{parts}"


def _reasons(counts: Dropped) -> str:
    some = sorted((reason, count) for reason, count in counts.items() if count)
    return ", ".join(f"{count:,} {reason}" for reason, count in some) or "none"
