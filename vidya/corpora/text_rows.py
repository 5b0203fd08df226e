"""Texts that stand in rows: `{"text": …}` a line, or a column of a table or a parquet file."""

from __future__ import annotations

import io
from collections.abc import Iterator

from vidya.corpora.bad_rows import BadRows, MostBad
from vidya.text.conversation_format import on_one_line
from vidya.text.corpus_file import Dropped
from vidya.user_files.file_kind import FileKind
from vidya.user_files.file_rows import rows_of
from vidya.user_files.located_row import BadRow

COLUMN = "text"
"""Where texts stand, if no other column is named."""


def column_documents(
    file: io.BufferedReader, kind: FileKind, name: str, dropped: Dropped, column: str = COLUMN
) -> Iterator[str]:
    """The texts of a column, each as a document that keeps its lines.

    Args:
        file: open, unpacked.
        kind: what it is, one of `file_rows.ROW_KINDS`.
        name: what errors call it.
        dropped: counts rows without a text, and rows that cannot be read.
        column: which.

    Raises:
        UserError: the file has no such column, or is damaged.
    """
    bad = BadRows(name, "line", MostBad(), can_be_raised=False)
    for row in rows_of(file, kind, name, (column.lower(),)):
        bad.rows += 1
        if isinstance(row, BadRow):
            bad.add(row)
            dropped["bad"] += 1
        elif not isinstance(row.value, dict) or column not in row.value:
            has = ", ".join(map(repr, row.value)) if isinstance(row.value, dict) else "no columns"
            bad.add(BadRow(row.line, f"no column {column!r}, but {has}: --column NAME takes one"))
            dropped[f"without {column}"] += 1
        elif isinstance(text := row.value[column], str) and (document := on_one_line(text)):
            yield document
        else:
            dropped[f"without text in {column}"] += 1
    if bad.bad == bad.rows:
        bad.most = MostBad(None, 0)
    bad.check()
