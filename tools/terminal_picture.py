"""A picture of a terminal session as README shows it: a command, what is typed, and its screen.

    python tools/terminal_picture.py docs/images/teach.svg --size 80x20 \
        --type 'who are you?' --wait 5 --type 'I am vidya.' --wait 20 -- teach runs/10m

The command runs in a terminal (a pty) of that size; what stands on its screen after the last wait
is drawn as SVG, with the colours that it had.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import re
import sys
import time
from pathlib import Path

import pexpect
import pyte
from rich.console import CONSOLE_SVG_FORMAT, Console
from rich.style import Style
from rich.terminal_theme import NIGHT_OWLISH
from rich.text import Text


def screen_of(command: list[str], typed: list[tuple[str, float]], columns: int, rows: int) -> Text:
    """What stands on the screen in the end, as coloured text.

    Args:
        command: of vidya, without `python -m vidya.`.
        typed: lines, and the seconds to wait after each; the first wait is for the beginning.
        columns: of the terminal.
        rows: of the terminal.
    """
    child = pexpect.spawn(
        sys.executable, ["-m", f"vidya.{command[0]}", *command[1:]], dimensions=(rows, columns),
        encoding="utf-8", codec_errors="replace", env={**os.environ, "TERM": "xterm-256color"},
    )  # fmt: skip
    screen = pyte.Screen(columns, rows)
    stream = pyte.Stream(screen)
    for line, seconds in typed:
        if line:
            child.send(line + "\r")
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                stream.feed(child.read_nonblocking(65536, timeout=left))
            except pexpect.TIMEOUT:
                break
            except pexpect.EOF:
                break
    lines = [_line(screen, row) for row in range(rows)]
    child.close(force=True)
    while lines and not lines[-1].plain.strip():
        lines.pop()
    return Text("\n").join(lines)


def _line(screen: pyte.Screen, row: int) -> Text:
    """A row of the screen with its colours."""
    cells = [screen.buffer[row][column] for column in range(screen.columns)]
    line = Text()
    for look, some in itertools.groupby(cells, lambda cell: (cell.fg, cell.bold, cell.reverse)):
        colour, bold, reverse = look
        style = Style(color=_colour(colour), bold=bold, reverse=reverse)
        line.append("".join(cell.data for cell in some), style)
    line.rstrip()
    return line


def _colour(name: str) -> str | None:
    """The colour as rich calls it."""
    if name == "default":
        return None
    if re.fullmatch("[0-9a-f]{6}", name):
        return f"#{name}"
    return {"brown": "yellow", "brightbrown": "bright_yellow"}.get(
        name, name.replace("bright", "bright_") if name.startswith("bright") else name
    )


def picture(text: Text, title: str, columns: int) -> str:
    """The text as SVG; it loads no font from anywhere."""
    console = Console(record=True, width=columns, file=io.StringIO(), color_system="truecolor")
    console.print(text, crop=False, no_wrap=True)
    plain = re.sub(r"@font-face \{\{.*?\}\}\s*|<!--.*?-->", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    return console.export_svg(title=title, theme=NIGHT_OWLISH, code_format=plain)


def main() -> int:
    """Draw a session."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", default="80x24", help="columns x rows")
    parser.add_argument("--first-wait", type=float, default=8.0, help="seconds until it is ready")
    parser.add_argument("--type", dest="typed", action="append", default=[])
    parser.add_argument("--wait", dest="waits", action="append", type=float, default=[])
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    columns, rows = map(int, given.size.split("x"))
    typed = [("", given.first_wait), *zip(given.typed, given.waits, strict=True)]
    text = screen_of(given.command, typed, columns, rows)
    drawn = picture(text, f"python -m vidya.{' '.join(given.command)}", columns)
    given.out.write_text(drawn, encoding="utf-8")
    print(text.plain)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
