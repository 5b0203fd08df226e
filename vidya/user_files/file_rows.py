"""The rows of somebody's file: JSON, JSONL, CSV, parquet, Arrow, packed or not."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Collection, Iterator
from typing import IO, Any

from vidya.errors import UserError
from vidya.user_files import json_values, separated_values
from vidya.user_files.file_kind import FileKind
from vidya.user_files.located_row import BadRow, Row

_ROWS = 256
"""Rows of a columnar file that become Python objects at a time."""
_BUFFER = 1 << 20
ROW_KINDS = (
    FileKind.JSON, FileKind.JSON_LINES, FileKind.TABLE, FileKind.PARQUET, FileKind.ARROW,
    FileKind.ARROW_STREAM,
)  # fmt: skip
"""Files that have rows."""


def rows_of(
    file: io.BufferedReader | io.BytesIO,
    kind: FileKind,
    name: str,
    columns: Collection[str] | None = None,
) -> Iterator[Row | BadRow]:
    """The rows of a file of one of `ROW_KINDS`, read as they are asked for.

    Args:
        file: the file, unpacked, at its beginning.
        kind: what it is.
        name: what errors call it.
        columns: in lower case, those that are needed of a columnar file, if it has any of them.

    Raises:
        UserError: it is damaged, or there is no pyarrow to read it with.
    """
    if kind is FileKind.JSON_LINES:
        return json_values.rows_of_lines(file)
    if kind is FileKind.JSON:
        return json_values.rows_of_values(file, name)
    if kind is FileKind.TABLE:
        return separated_values.rows_of_table(file, name)
    return _columnar(file, kind, name, columns)


def _columnar(
    file: IO[bytes], kind: FileKind, name: str, columns: Collection[str] | None
) -> Iterator[Row]:
    try:
        import pyarrow
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError as error:
        raise UserError(
            f"{name} is {kind.value}, which needs: python -m pip install pyarrow"
        ) from error
    number = 0
    try:
        for batch in _batches(_seekable(file), kind, columns):
            for start in range(0, batch.num_rows, _ROWS):
                for value in batch.slice(start, _ROWS).to_pylist():
                    number += 1
                    yield Row(number, value)
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"cannot read {name} ({reason}): fetch it again") from error


def _batches(file: IO[bytes], kind: FileKind, columns: Collection[str] | None) -> Iterator[Any]:
    import pyarrow.ipc
    import pyarrow.parquet

    if kind is FileKind.PARQUET:
        # A buffer, or a whole column of a row group would be read into memory at once.
        table = pyarrow.parquet.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False)
        names = [
            name for name in table.schema_arrow.names if name.strip().lower() in (columns or ())
        ]
        yield from table.iter_batches(_ROWS, columns=names or None, use_threads=False)
    elif kind is FileKind.ARROW:
        reader = pyarrow.ipc.open_file(file)
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)
    else:
        yield from pyarrow.ipc.open_stream(file)


def _seekable(file: IO[bytes]) -> IO[bytes]:
    """A file, or a copy of one that was packed: parquet begins at its end."""
    if file.seekable():
        return file
    copy = tempfile.TemporaryFile()
    shutil.copyfileobj(file, copy, _BUFFER)
    copy.seek(0)
    return copy
