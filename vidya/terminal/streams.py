"""The standard streams: lines for the person at the terminal, and what becomes of failed writes.

Output is not essential, the work is. `open_standard_streams` puts streams in place of
`sys.stdout` and `sys.stderr` on which a write that fails (the reader of a pipe is gone, a log's
disk is full, a terminal was closed) is told once on the other one and stops nothing. Where
standard output is the very thing that was asked for, it fails as it does anywhere, until the
command says `output_is_not_essential`. A character that a stream's encoding lacks is shown as
something near to it, and bytes of a file's name that are no text go out as they are.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import os
import select
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any, Literal

from vidya.terminal.line_breaks import next_steps, terminal_width, wrapped

_NEAR = {
    "─": "-", "━": "-", "│": "|", "┃": "|", "→": "->", "↵": "/", "…": "...", "·": "-", "•": "*",
    "×": "x", "≥": ">=", "≤": "<=", "−": "-", "–": "-", "—": "-", "✓": "ok", "✗": "x",
    "‘": "'", "’": "'", "“": '"', "”": '"', "█": "#", "▌": "#", "╸": "-", "╺": "-", "\u2800": " ",
}  # fmt: skip
_BOX = range(0x2500, 0x2580)
_BRAILLE = range(0x2801, 0x2900)
_NEAREST = "vidya.nearest"  # the name of the error handler


class _Output(io.FileIO):
    """A standard stream, at the bottom: where every write ends, whoever makes it."""

    def __init__(self, number: int, *, essential: bool) -> None:
        super().__init__(number, "w", closefd=False)
        self.essential = essential
        self._told = False

    def write(self, data: Any) -> int:
        """Write, waiting for a slow reader; a failure counts as written unless it is essential."""
        try:
            while (written := super().write(data)) is None:  # set not to wait, by another program
                select.select([], [self], [])
            return written
        except OSError as error:
            told, self._told = self._told, True
            if self.essential:
                raise
            if not told:
                _tell_of(self, error)
            return memoryview(data).nbytes


def _tell_of(output: _Output, error: OSError) -> None:
    """Say on the other stream, once, that one of them has failed."""
    other = sys.stderr if output.fileno() == 1 else sys.stdout
    if (there := _bottom(other)) is not None and not there.essential:
        name = "standard output" if output.fileno() == 1 else "standard error"
        line = f"cannot write to {name} ({error.strerror}): the work goes on without it\n"
        with contextlib.suppress(OSError):
            os.write(there.fileno(), line.encode())


def _bottom(stream: Any) -> _Output | None:
    """The `_Output` under a stream, if it has one."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw if isinstance(raw, _Output) else None


def open_standard_streams() -> None:
    """Make the standard streams fit for any terminal, and for none.

    One that was closed leads to nowhere from now on: no file that is opened later gets its
    number, and with it what is printed. A stream that a notebook or a test has put there stays.
    """
    codecs.register_error(_NEAREST, _nearest)
    if "TERM" not in os.environ:
        os.environ["TERM"] = "dumb"  # the libraries that draw do not agree on what that means
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            os.set_inheritable(number, True)  # processes that are started here have it, too
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)
    if isinstance(sys.stdin, io.TextIOWrapper):  # `formatting.plain_text` reads what comes so
        sys.stdin.reconfigure(errors="surrogateescape")
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is not None and (stream is not getattr(sys, f"__{name}__") or _bottom(stream)):
            continue
        if stream is not None and _number(stream) != number:
            continue
        output = _Output(number, essential=name == "stdout")
        raw: Any = io.BufferedWriter(output)
        opened = io.TextIOWrapper(
            raw,
            encoding=getattr(stream, "encoding", "utf-8"),
            errors=_NEAREST,
            line_buffering=name == "stderr" or output.isatty(),
            write_through=getattr(stream, "write_through", False),
        )
        setattr(sys, name, opened)


def _number(stream: Any) -> int | None:
    """The descriptor of a stream; None where it has none."""
    try:
        number: int = stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None
    return number


def output_is_not_essential() -> None:
    """Let the command go on when standard output fails: what it is run for is not what it says."""
    if (output := _bottom(sys.stdout)) is not None:
        output.essential = False


def finish_output() -> None:
    """Send out what is still held back, so that a failure is noticed; `OSError` if it counts."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(ValueError):  # it has been closed
                stream.flush()


def _nearest(error: UnicodeError) -> tuple[str | bytes, int]:
    """The error handler of both streams: one character, as near as the encoding allows."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    if "\udc80" <= character <= "\udcff":  # a byte of a name or an argument that was no text
        return bytes([ord(character) - 0xDC00]), error.start + 1
    if not character.isascii():
        near = _NEAR.get(character) or unicodedata.normalize("NFKD", character)
        if ord(character) in _BOX and character not in _NEAR:
            near = "+"
        if ord(character) in _BRAILLE:
            near = "*"
        near = "".join(c for c in near if not unicodedata.combining(c))
        with contextlib.suppress(UnicodeError):
            near.encode(error.encoding)
            if near:
                return near, error.start + 1
    return "?", error.start + 1


def can_move_cursor(stream: Any) -> bool:
    """Whether a stream is a terminal on which what was shown can be changed afterwards."""
    capable = os.environ.get("TERM", "dumb").lower() not in ("", "dumb", "unknown")
    return capable and bool(stream.isatty())


def escape_codes_wanted() -> bool:
    """Whether lines may hold escape codes: not where NO_COLOR is set (https://no-color.org)."""
    return not os.environ.get("NO_COLOR")


def colour_system() -> Literal["auto"] | None:
    """What rich's `Console` may use for bold and colours: nothing under NO_COLOR."""
    return "auto" if escape_codes_wanted() else None


def can_redraw(stream: Any) -> bool:
    """Whether a bar can be drawn on a stream: a terminal that can, and escape codes are wanted.

    What cannot do without them, line editing and the monitor, asks `can_move_cursor`.
    """
    return can_move_cursor(stream) and escape_codes_wanted()


def say(text: str) -> None:
    """Tell a person something on standard error at once, its lines as wide as the terminal.

    Results alone go to standard output: `show`.
    """
    print(wrapped(text, terminal_width(sys.stderr)), file=sys.stderr, flush=True)


def show(text: str) -> None:
    """Print a result in words on standard output at once, its lines as wide as the terminal."""
    print(wrapped(text, terminal_width(sys.stdout)), flush=True)


def say_next(steps: Sequence[tuple[str, str]]) -> None:
    """Tell on standard error what can be done next: labels and commands to copy."""
    print(next_steps(steps, terminal_width(sys.stderr)), file=sys.stderr, flush=True)


def show_next(steps: Sequence[tuple[str, str]]) -> None:
    """Tell the same on standard output, at the end of what was asked for."""
    print(next_steps(steps, terminal_width(sys.stdout)), flush=True)


def json_text(found: Any, *, indent: int | None = None) -> str:
    """JSON to print: letters as they are where standard output is UTF-8, else escaped."""
    encoding = getattr(sys.stdout, "encoding", None) or ""
    text = json.dumps(
        found, ensure_ascii=encoding.lower().replace("-", "") != "utf8", indent=indent
    )
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes that were no text
        return json.dumps(found, indent=indent)
    return text
