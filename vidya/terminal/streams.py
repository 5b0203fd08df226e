"""The standard streams: words for the person at the terminal, and characters it cannot show."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import TextIO


def say(text: str) -> None:
    """Print a line on standard error at once: results alone go to standard output."""
    print(text, file=sys.stderr, flush=True)


def replace_unknown_characters(*streams: TextIO) -> None:
    """Show (or read) a question mark for what a stream's encoding lacks, in place of a crash."""
    for stream in streams:
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
