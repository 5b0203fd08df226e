"""JSON of any layout as a stream of rows: lists, wrapped lists, one object after another.

Memory holds a row and what is read ahead, however long the file is. A row that is no JSON is
told and passed over where the next one can be found: at the next line that begins as it did.
"""

from __future__ import annotations

import ast
import codecs
import json
import re
from collections.abc import Iterator
from typing import IO, Any, Literal

from vidya.errors import UserError
from vidya.user_files.located_row import BadRow, Row
from vidya.user_files.message_fields import is_message

Form = Literal["lines", "values"]
"""A row a line, or any other layout."""
_AHEAD = 1 << 16
MOST = 1 << 28
"""Characters of a row; a longer one is none."""
_LINES = 20
"""Lines that are looked at to tell whether a row stands on each."""
_DECODER = json.JSONDecoder()
_OBJECT = re.compile(r'\{\s*"(?:[^"\\\n]|\\.)*"\s*:')
_CUT = re.compile(r'\s*[\[{]+\s*["\']')
"""How a row begins, whole or not."""
_PYTHON = re.compile(r"\s*(?:\[\s*)?\{\s*'")
"""How Python prints an object, or a list of them."""
_COMMENTS = ("//", "# ")
"""How lines begin that people put between rows of JSON."""
_LIST = re.compile(r'\[\s*(?:\{\s*"(?:[^"\\\n]|\\.)*"\s*:|\[\s*[{\["])')
_SPACE = " \t\n\r"
_BESIDE = ("history", "sources", "metadata", "tools", "functions", "tags", "choices", "annotations")
"""Lists that stand in a row and hold none."""
_NO_JSON = (ValueError, RecursionError)


def form_of(text: str, whole: bool) -> Form | None:
    """How the beginning of a file is laid out if it is JSON of objects and lists, else None.

    A text in which some lines begin like JSON is none, nor is one that begins with a space.

    Args:
        text: the first characters.
        whole: whether there are no others.
    """
    text = text.replace("\ufeff", "").lstrip("\r\n")
    lines = text.split("\n")
    complete = [line for line in (lines if whole else lines[:-1]) if line.strip()]
    if whole and complete[1:] and _CUT.match(complete[-1]) and not is_row(complete[-1]):
        complete.pop()  # a file that was cut in its last row is still one of rows
    complete = [line for line in complete if not line.startswith(_COMMENTS)][:_LINES]
    rows = sum(map(is_row, complete))
    if rows == 1 == len(complete) and whole and len(list(filter(str.strip, lines))) > 1:
        return "lines"
    if 2 * rows > len(complete) > 1:
        return "lines"
    if text[:1] == "[":
        return "values" if _LIST.match(text) or _is_list_of_texts(text, whole) else None
    if not _OBJECT.match(text) or (len(complete) > 1 and is_row(complete[0])):
        return None
    second = complete[1].lstrip() if len(complete) > 1 else ""
    return "values" if not second or second[0] in '"{}[]' else None


def is_row(line: str) -> bool:
    """Whether a line is a JSON object or a list with something in it."""
    if line[:1] not in ("{", "["):
        return False
    try:
        value = row_in(line)
    except _NO_JSON:
        return False
    return bool(value) and (isinstance(value, dict) or isinstance(value[0], (dict, list, str)))


def row_in(line: str) -> Any:
    """The value of a line: JSON, or an object or list as Python prints it (`{'text': …}`).

    Raises:
        ValueError, RecursionError: it is neither; of JSON with an error, what JSON says.
    """
    try:
        return json.loads(line, strict=False)
    except _NO_JSON:
        if not _PYTHON.match(line):
            raise
        try:
            value = ast.literal_eval(line.strip())
        except (SyntaxError, MemoryError):
            value = None
        if not isinstance(value, (dict, list)):
            raise
        return value


def _is_list_of_texts(text: str, whole: bool) -> bool:
    try:
        return isinstance(json.loads(text)[0], str)
    except (*_NO_JSON, IndexError):
        pass
    return not whole and re.match(r'\[(\s*"(?:[^"\\\n]|\\.)*"\s*,){2}\s*"', text) is not None


def rows_of_lines(file: IO[bytes]) -> Iterator[Row | BadRow]:
    """The rows of a file with one on each line that is not blank."""
    for number, raw in enumerate(iter(lambda: file.readline(MOST), b""), start=1):
        raw = raw.removeprefix(codecs.BOM_UTF8)
        if not raw.strip():
            continue
        try:
            yield Row(number, row_in(raw.decode("utf-8")))
        except _NO_JSON as error:
            yield BadRow(number, _reason(error))


def _reason(error: Exception) -> str:
    """Why a row cannot be read, without what follows from its being read alone."""
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 (byte {error.object[error.start]:#04x})"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON ({error.msg} at column {min(error.pos, len(error.doc.rstrip())) + 1})"
    if isinstance(error, RecursionError):
        return "not JSON (lists in lists without end)"
    return f"not JSON ({error})"


def rows_of_values(file: IO[bytes], name: str) -> Iterator[Row | BadRow]:
    """The rows of a file of another layout; `name` is what an error calls it.

    A list is its items, an object with a list of objects in it (`{"data": [{…}, …]}`) the items
    of that; any other value, a list of messages or an object, is a row itself.
    """
    return _Reader(file, name).rows()


class _Reader:
    """A file and the part of it that is in memory."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file, self._name = file, name
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text = ""
        self._at = 0  # what comes before is done with
        self._ended = False
        self._line = 1  # of the first character in memory

    def rows(self) -> Iterator[Row | BadRow]:
        while opening := self._next():
            if opening == "[":
                self._at += 1
                yield from self._items()
            elif opening == "{":
                yield from self._object()
            elif opening == ",":  # between objects that somebody took out of a list
                self._at += 1
            else:
                yield from self._row()

    # ------------------------------------------------------------ values

    def _object(self) -> Iterator[Row | BadRow]:
        """An object as a row, or the items of the lists of objects in it."""
        self._forget()
        begin, wraps = self._at, False
        try:
            self._at += 1
            while self._next() not in ("}", ""):
                key = self._value()
                if self._next() != ":":
                    raise ValueError("no : after a name")
                self._at += 1
                if self._next() == "[" and key not in _BESIDE and self._holds_rows():
                    wraps = True
                    self._at += 1
                    yield from self._items()
                else:
                    self._value()
                if self._next() == ",":
                    self._at += 1
            if wraps:
                self._at += 1
        except _NO_JSON as error:
            if wraps:
                yield BadRow(self._line_here(), _reason(error))
                self._skip_to_end()
        if not wraps:
            self._at = begin
            yield from self._row()

    def _holds_rows(self) -> bool:
        """Whether the list that comes next has rows in it and not the messages of one."""
        before = self._at
        self._at += 1
        try:
            if self._next() not in ("{", "["):
                return False
            first = self._value()
            return bool(first) and not is_message(first)
        finally:
            self._at = before

    def _items(self) -> Iterator[Row | BadRow]:
        """The items of a list whose opening bracket is done with; its messages are one row."""
        together: list[Any] | None = None
        begin, first, row = self._line_here(), True, None
        while (character := self._next()) != "]":
            if not character:
                if not isinstance(row, BadRow):
                    yield BadRow(self._line_here(), "the file ends in the middle of a list")
                return
            if character == ",":
                self._at += 1
                continue
            for row in self._row():
                if first and isinstance(row, Row):
                    first = False
                    together = [] if isinstance(row.value, str) or is_message(row.value) else None
                if together is None or isinstance(row, BadRow):
                    yield row
                else:
                    together.append(row.value)
        self._at += 1
        if together is not None:
            yield Row(begin, together)

    def _row(self) -> Iterator[Row | BadRow]:
        """The value that comes next; if it is none, go on where another seems to begin."""
        before = self._text[: self._at].rpartition("\n")[2]
        self._forget()
        try:
            value = self._value()
        except _NO_JSON as error:
            yield BadRow(self._line, _reason(error))
            self._find("\n" + (before if not before.strip() else "") + self._text[0])
        else:
            yield Row(self._line, value)

    def _find(self, sign: str) -> None:
        """Go on where `sign` stands next, or at the end."""
        self._at = 1
        while (found := self._text.find(sign, self._at)) < 0:
            self._at = max(self._at, len(self._text) - len(sign))
            self._forget()
            if not self._more():
                self._skip_to_end()
                return
        self._at = found

    def _value(self) -> Any:
        """The value that comes next; ValueError if it is no JSON."""
        ahead = _AHEAD
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or error.pos > len(self._text) - 12
                if not cut or not self._more(ahead):
                    raise ValueError(f"{error.msg}, line {self._line_at(error.pos)}") from error
            else:
                # a number may go on behind what is in memory
                if end < len(self._text) or isinstance(value, (dict, list, str)):
                    self._at = end
                    return value
                if not self._more(ahead):
                    self._at = end
                    return value
            ahead *= 2
            if len(self._text) - self._at > MOST:
                raise ValueError(f"a value of more than {MOST:,} characters")

    # ------------------------------------------------------------ the text in memory

    def _next(self) -> str:
        """The next character that is no space, where reading then stands; nothing at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _SPACE:
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                return ""

    def _more(self, size: int = _AHEAD) -> bool:
        """Read on; False at the end."""
        if self._ended:
            return False
        raw = self._file.read(size)
        self._ended = not raw
        try:
            self._text += self._decoder.decode(raw, self._ended)
        except UnicodeDecodeError as error:
            raise UserError(
                f"{self._name}, about line {self._line_at(len(self._text))}: not UTF-8 (byte "
                f"{error.object[error.start]:#04x}): convert it: iconv -f NAME -t UTF-8, "
                "with the name of its encoding (CP1252, CP1251, GB18030, …)"
            ) from error
        return not self._ended

    def _forget(self) -> None:
        """Give up what is done with."""
        self._line = self._line_here()
        self._text, self._at = self._text[self._at :], 0

    def _line_here(self) -> int:
        return self._line_at(self._at)

    def _line_at(self, position: int) -> int:
        return self._line + self._text.count("\n", 0, position)

    def _skip_to_end(self) -> None:
        self._text, self._at, self._ended = "", 0, True
