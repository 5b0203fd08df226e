"""Tables as text: CSV, and the same with tabs, semicolons or bars between the cells."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

from vidya.errors import UserError
from vidya.user_files.chat_rows import has_conversation
from vidya.user_files.located_row import BadRow, Row
from vidya.user_files.text_lines import lines_of

_SEPARATORS = ",\t;|"
_NAME = re.compile(r"[A-Za-z_][\w .-]{0,40}|")
_SEPARATOR_LINE = re.compile(r'"?sep=.\s*"?\s*', re.IGNORECASE)
"""The line by which spreadsheets are told what stands between cells; the names follow it."""
_RULE = re.compile(r"\s*:?-*:?\s*")
_ROWS = 10
MOST = 1 << 28
"""Characters of a cell."""


def is_table(text: str, whole: bool) -> bool:
    """Whether a text begins like a table that has conversations or texts in it.

    Its first line must name columns that we know, and the rows have as many cells: a text is
    not taken for a table because of its commas.

    Args:
        text: the first characters.
        whole: whether there are no others.
    """
    first, _, rest_of_it = text.partition("\n")
    if _SEPARATOR_LINE.fullmatch(first):
        text = rest_of_it
    separator = _separator(text)
    if separator is None:
        return False
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=separator))
    except csv.Error:
        return False
    names, *rest = [row for row in rows if row]
    rest = (rest if whole else rest[:-1])[:_ROWS]
    if len(names) == 1 and not all(line[:1] in "\"'" for line in text.split("\n")[1:2]):
        return False
    fitting = sum(len(row) == len(names) for row in rest)
    return bool(rest or not whole) and 5 * fitting >= 4 * len(rest)


def _separator(text: str) -> str | None:
    """What separates the names in the first line; None if it names nothing that we know."""
    line = text.partition("\n")[0].rstrip("\r")
    if line[:1] == " ":  # so `data text --as-is` writes a line of names that is text
        return None
    for separator in _SEPARATORS:
        if separator not in line and separator != ",":
            continue
        try:
            names = [name.strip() for name in next(csv.reader([line], delimiter=separator), [])]
        except csv.Error:
            continue
        if all(_NAME.fullmatch(name) for name in names) and any(names):
            columns = [name.lower() for name in names]
            if has_conversation(columns) or "text" in columns:
                return separator
    return None


def rows_of_table(file: io.BufferedReader | io.BytesIO, name: str) -> Iterator[Row | BadRow]:
    """The rows of a table as objects by the names of its columns.

    Args:
        file: UTF-8, the names of the columns first.
        name: what an error calls the file.

    Raises:
        UserError: it cannot be read as a table, or is not UTF-8.
    """
    lines = (f"{line}\n" for line in lines_of(file, name))
    first, begin = next(lines, ""), 2
    if _SEPARATOR_LINE.fullmatch(first):
        first, begin = next(lines, ""), 3
    separator = _separator(first) or max(_SEPARATORS, key=first.count)
    csv.field_size_limit(MOST)
    names = [name.strip() for name in next(csv.reader([first], delimiter=separator), [])]
    reader = csv.reader(lines, delimiter=separator)
    before = begin
    try:
        for row in reader:
            rule = separator == "|" and all(map(_RULE.fullmatch, row))  # as in Markdown
            if len(row) == len(names) and not rule:
                yield Row(begin, dict(zip(names, row, strict=True)))
            elif row and not rule:
                yield BadRow(begin, f"{len(row)} cells where there are {len(names)} columns")
            begin = reader.line_num + before
    except csv.Error as error:
        raise UserError(
            f"{name}, line {reader.line_num + before - 1}: {error}: it cannot be read as a table"
        ) from error
