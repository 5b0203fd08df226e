"""Lines broken between words, so that they fit the terminal that they are told on.

All lines that commands tell go through `vidya.terminal.streams.say` and `show`, which break them
here; a table is laid out by `vidya.terminal.tables`. Where there is no terminal, a line stays as
long as it is: programs read it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

_LEAST_HANGING = 12
"""Columns of a terminal from which the lines that go on are indented."""
_MAY_BREAK_AFTER = "/\\-_=,;:"
"""Where a word that is longer than a line is cut, if it can be: a path, above all."""


def terminal_width(stream: Any) -> int | None:
    """Columns of the terminal that a stream leads to; None where it leads to none."""
    if stream is None or not stream.isatty():
        return None
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def cells(text: str) -> int:
    """Columns that a text takes in a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # loaded when a letter of another width may be there

    return cell_len(text)


def wrapped(text: str, width: int | None) -> str:
    """A text whose lines are at most so many columns wide; None: as wide as they are."""
    if width is None:
        return text
    return "\n".join(part for line in text.split("\n") for part in _broken(line, width))


def shortened(text: str, width: int) -> str:
    """A text in one line of at most so many columns; … stands for what does not fit."""
    indent = text[: len(text) - len(text.lstrip(" "))]
    text = indent + " ".join(text.split())
    if cells(text) <= width:
        return text
    kept = len(text)
    while kept and cells(text[:kept]) > width - 2:
        kept -= 1
    if not text[kept].isspace() and (space := text.rfind(" ", len(indent) + 1, kept)) > 0:
        kept = space  # no part of a word stays
    return text[:kept].rstrip() + " …"


def _broken(line: str, width: int) -> list[str]:
    """A line as several, those after the first a little further to the right."""
    if cells(line) <= width:
        return [line]
    indent = line[: len(line) - len(line.lstrip(" "))]
    hanging = indent + "  " if width >= len(indent) + _LEAST_HANGING else ""
    lines, current = [], ""
    for gap, word in re.findall(r"(\s*)(\S+)", line):
        if current.strip() and cells(current + gap + word) > width:
            lines.append(current)
            current, gap = hanging, ""
        current += gap + word
        while cells(current) > width:
            at = _place_to_cut(current, width, least=len(hanging))
            lines.append(current[:at])
            current = hanging + current[at:]
    return [*lines, current]


def _place_to_cut(text: str, width: int, *, least: int) -> int:
    """Where a text without a usable space is cut: after the last mark that fits, or anywhere."""
    most = len(text)
    while most > least + 1 and cells(text[:most]) > width:
        most -= 1
    marks = [at for at in range(least + 1, most + 1) if text[at - 1] in _MAY_BREAK_AFTER]
    return marks[-1] if marks else most


def next_steps(steps: Sequence[tuple[str, str]], width: int | None) -> str:
    """What can be done next: lines of a label and a command to copy.

    Side by side where all of them fit. Else each command stands under its label, and one that
    is still too long goes on behind a backslash, as a shell reads it.
    """
    column = max(len(label) for label, _ in steps) + 3
    if width is None or all(column + cells(command) <= width for _, command in steps):
        return "\n".join(f"{label + ':':<{column}}{command}" for label, command in steps)
    lines = []
    for label, command in steps:
        lines += [f"{label}:", *_continued(command, width)]
    return "\n".join(lines)


def _continued(command: str, width: int) -> list[str]:
    """A command over several lines, each but the last with a backslash at its end."""
    lines, current = [], " "
    for word in command.split(" "):
        if current.strip() and cells(f"{current} {word}") > width - 2:
            lines.append(current + " \\")
            current = "   "
        current += f" {word}"
    return [*lines, current]
