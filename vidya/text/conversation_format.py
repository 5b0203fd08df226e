"""Conversations in a corpus: turns with their markers on one line of text, and turns again.

- A corpus file is UTF-8; every line that is not blank is one document.
- A conversation is `<|user|> text <|assistant|> text …` on one line. Any other
  line is a document too. A line break inside a document is written `↵`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

BOS = "<|bos|>"
"""Stands before a document and after it."""
USER = "<|user|>"
"""Opens a turn of the person."""
ASSISTANT = "<|assistant|>"
"""Opens a turn of the model."""
MARKERS = (BOS, USER, ASSISTANT)
MARKER = re.compile("(" + "|".join(map(re.escape, MARKERS)) + ")")
LINE_BREAK = "↵"
"""Stands in a document for the end of a line, since a document is one line of a corpus."""
_OPENING = re.compile(
    r"<(?=[|｜]\s*(?:bos|user|assistant|human|prompter|bot|model)\s*[|｜]\s*>)", re.IGNORECASE
)
"""Begins a marker, or what a person's file may have for one (vidya/text/speaker_marks.py)."""


def conversation(turns: Iterable[str]) -> str:
    """One document out of the turns of a conversation, the user's first, then in turn.

    Whitespace becomes single spaces. A marker that stands literally in a turn loses
    its meaning and stays readable: `<|user|>` becomes `< |user|>`.
    """
    return _marked(" ".join(turn.split()) for turn in turns)


def long_conversation(turns: Iterable[str]) -> str:
    """`conversation` of turns that keep their lines, as `on_one_line` writes them."""
    return _marked(on_one_line(turn) for turn in turns)


def on_one_line(text: str) -> str:
    """Text of several lines as one that can be read as it was: line breaks become `↵`.

    Lines keep their indentation (a tab to columns of four); between words, whitespace
    becomes single spaces. Of empty lines in a row one stays; those around the text go.
    A `↵` that stood in the text becomes `⏎`.
    """
    kept: list[str] = []
    for line in text.replace(LINE_BREAK, "⏎").splitlines():
        words = " ".join(line.split())
        if words:
            indent = len(line) - len(line.lstrip())
            kept.append(" " * len(line[:indent].expandtabs(4)) + words)
        elif kept and kept[-1]:
            kept.append("")
    return LINE_BREAK.join(kept).strip(LINE_BREAK + " ")


def _marked(turns: Iterable[str]) -> str:
    """Turns of one line each with their markers before them."""
    markers = itertools.cycle((USER, ASSISTANT))
    return " ".join(
        f"{marker} {without_markers(turn)}" for marker, turn in zip(markers, turns, strict=False)
    )


def without_markers(text: str) -> str:
    """Text in which no marker has its meaning, that a UTF-8 file can hold."""
    # JSON can spell half a surrogate pair.
    return _OPENING.sub("< ", text.encode("utf-8", "replace").decode("utf-8"))


def turns_of(document: str) -> list[str] | None:
    """The turns of a conversation in the corpus form, the user's first.

    None for a document that is none: other text, or speakers who do not alternate. A
    `<|bos|>` before it or after it is left out.
    """
    before, *rest = MARKER.split(document)
    if rest[:1] == [BOS] and not before.strip():
        before, rest = rest[1], rest[2:]
    if rest[-2:-1] == [BOS] and not rest[-1].strip():
        rest = rest[:-2]
    markers = rest[::2]
    turns = [turn.replace(LINE_BREAK, "\n").strip() for turn in rest[1::2]]
    expected = [(USER, ASSISTANT)[number % 2] for number in range(len(turns))]
    return turns if turns and markers == expected and not before.strip() else None
