"""Conversations in a file, however they are laid out, as documents in the corpus form.

A corpus has a conversation a line (vidya/text/conversation_format.py). People also write a
turn a line, leave out the spaces around markers, number their lines, or have the marks of
another program (vidya/text/speaker_marks.py). What is clear is converted, and what was done is
counted; what is not stays as it stands, with the reason why nobody can ask for its answer. A
line in the corpus form stays what it is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from vidya.text.conversation_format import (
    ASSISTANT,
    BOS,
    LINE_BREAK,
    MARKER,
    USER,
    long_conversation,
    turns_of,
)
from vidya.text.speaker_marks import (
    BULLET,
    OURS,
    MarkStyle,
    Piece,
    is_table_head,
    label_style,
    pair_of,
    spelt_as_ours,
    styles_found,
    tabbed_pairs,
    without_unseen,
)

ENDS_WITH_USER = "ends with the user"
"""Of a conversation of which the replies before that can be asked for."""
Lines = Callable[[], Iterable[str]]
"""Gives the lines of a file, blank ones too, anew at each call."""
_SPEAKERS = {"user": USER, "assistant": ASSISTANT}
_SEPARATOR = re.compile(r"\s*(?:([-=*_#~])\1{2,}|(?:\* ){2,}\*|<\|endoftext\|>)\s*")
"""A line between conversations."""
_BULLET = re.compile(BULLET)
LEFT_OUT = "system messages, left out"
"""What is done to what a system says."""
_EACH = ", each {} beginning a conversation"


class LaidOut(NamedTuple):
    """A document, and where it came from."""

    line: int
    """Where it begins in its file, from 1."""
    text: str
    """The document; in the corpus form, if it can be asked for."""
    fault: str | None
    """Why its answers, or some of them, can never be asked for; None where they can."""


@dataclass
class Conversations:
    """A file in which somebody speaks; iterating reads its documents."""

    lines: Lines
    style: MarkStyle | None
    """How it says who speaks; None for questions and answers with a tab between."""
    ours_known: bool = True
    """Whether there is a marker as we write it."""
    divided: bool = False
    """Whether blank lines or marks stand between conversations of a turn a line. If not, each
    message of the user begins one."""
    done: Counter[str] = field(default_factory=Counter)
    """What was done to documents, and to how many; filled while they are read."""

    def __iter__(self) -> Iterator[LaidOut]:
        """The documents, one after another."""
        self.done.clear()
        if self.style is None:
            return self._of_table()
        return _Assembly(self.style, self.ours_known, self.divided, self.done).documents(
            self.lines()
        )

    def _of_table(self) -> Iterator[LaidOut]:
        first = True
        for number, line in enumerate(self.lines(), 1):
            pair = pair_of(line)
            if pair is not None and first and is_table_head(pair):
                self.done["names of columns, left out"] += 1
            elif pair is not None:
                self.done["a tab between question and answer"] += 1
                yield LaidOut(number, long_conversation(pair), None)
            elif line.strip():
                yield LaidOut(number, line, why_never_asked(line))
            first = first and not line.strip()


def conversations_in(lines: Lines) -> Conversations | None:
    """How a file lays out its conversations; None for one in which nobody is marked to speak.

    Reads it some times over, a line at a time.
    """

    def seen() -> Iterable[str]:
        return map(without_unseen, lines())

    marked = [False, False]
    ours_known = any(USER in line or ASSISTANT in line for line in lines())
    for line in seen():
        line = spelt_as_ours(line, ours_known=ours_known)
        marked[0] |= USER in line
        marked[1] |= ASSISTANT in line
    if any(marked):
        style: MarkStyle | None = OURS
    else:
        style = next(styles_found(seen()), None) or label_style(seen())
        if style is None and not tabbed_pairs(lines()):
            return None
    divided = style is not None and _divided(lines(), style, ours_known)
    return Conversations(lines, style, ours_known, divided)


def counted_things(done: Counter[str]) -> str:
    """What was done to documents, and to how many, as a person reads it."""
    return "; ".join(f"{what} ({count:,})" for what, count in done.items())


def _divided(lines: Iterable[str], style: MarkStyle, ours_known: bool) -> bool:
    """Whether something ever stands between a reply and the next line of the user.

    Blank lines that stand between all turns say nothing.
    """
    replied = blank = separated = apart = joined = False
    beginnings = 0
    for line in lines:
        if not line.strip() or _SEPARATOR.fullmatch(line):
            blank, separated = True, separated or bool(line.strip())
            continue
        _, pieces = style.pieces(_readable(line, style, ours_known))
        beginnings += any(piece.mark in ("begin", "system") for piece in pieces)
        speakers = [piece.mark for piece in pieces if piece.mark in _SPEAKERS]
        if beginnings > 1 or (speakers == ["user"] and replied and separated):
            return True
        apart |= speakers == ["user"] and replied and blank
        joined |= speakers == ["assistant"] and not blank
        if speakers:
            replied = speakers == ["assistant"]
        blank = separated = False
    return apart and joined


def _readable(line: str, style: MarkStyle, ours_known: bool) -> str:
    line = without_unseen(line)
    return spelt_as_ours(line, ours_known=ours_known) if style is OURS else line


def why_never_asked(document: str) -> str | None:
    """Why an answer of a document can never be asked for in chat; None where all can."""
    before, *rest = MARKER.split(document)
    markers, texts = rest[::2], rest[1::2]
    if not markers or ASSISTANT not in markers:
        return "no reply" if markers else "no markers"
    if before.strip():
        return "text before the first marker"
    turns = turns_of(document)
    if turns is None:
        if markers[0] == ASSISTANT:
            return "begins with the assistant"
        return "the same speaker twice in a row" if BOS not in markers else "<|bos|> inside"
    if not all(turns[::2]):
        return "no question"
    if not all(turns[1::2]):
        return "no answer"
    return ENDS_WITH_USER if len(texts) % 2 and BOS not in markers else None


def _is_empty(turn: tuple[str, list[str]]) -> bool:
    return not any(map(str.strip, turn[1]))


class _Assembly:
    """Puts the lines of a file together to documents."""

    def __init__(
        self, style: MarkStyle, ours_known: bool, divided: bool, done: Counter[str]
    ) -> None:
        self._style, self._ours_known = style, ours_known
        self._is_divided, self._done = divided, done
        self._told = 0
        """Number of the last line that something was counted of."""
        self._turns: list[tuple[str, list[str]]] = []
        """Markers and the lines of their texts of a conversation that may go on."""
        self._from: list[tuple[int, str]] = []
        """Numbers and texts of the lines that it was made of."""
        self._whole = (0, "")
        """The last line that was given whole, as it stands."""
        self._ended = False
        """Whether a mark has ended its last turn."""
        self._skipping = False
        """Whether what comes is a system's text."""

    def documents(self, lines: Iterable[str]) -> Iterator[LaidOut]:
        blank = False
        for number, line in enumerate(lines, 1):
            if _SEPARATOR.fullmatch(line):
                self._done["lines that separate, left out"] += 1
                yield from self._finished()
                line = ""
            if self._style is OURS and BOS in line:
                yield from self._divided_line(number, line)
            elif line.strip():
                yield from self._line(number, line, blank)
            elif self._turns and self._style.closed and not self._ended:
                self._turns[-1][1].append("")
            blank = not line.strip()
        yield from self._finished()

    def _divided_line(self, number: int, line: str) -> Iterator[LaidOut]:
        """A line in which `<|bos|>` stands between documents, or around one."""
        self._tell(f"{BOS} around documents, left out", number)
        for part in line.split(BOS):
            yield from self._finished()
            self._whole = (0, "")
            if part.strip():
                yield from self._line(number, part.strip(), blank=True)
        yield from self._finished()

    def _line(self, number: int, raw: str, blank: bool) -> Iterator[LaidOut]:
        line = _readable(raw, self._style, self._ours_known)
        if line != raw:
            self._tell("markers spelt in another way", number)
        before, pieces = self._style.pieces(line)
        speakers = [piece for piece in pieces if piece.mark in _SPEAKERS]
        if before and _BULLET.fullmatch(before):
            if before.strip():
                self._tell("bullets or numbers, left out", number)
            before = ""
        closed = self._style.closed or bool(pieces and pieces[0].mark == "end")
        if not pieces or (before and closed):
            if self._goes_on(blank, closed):
                self._text(number, raw, before)
                before = ""
            elif not pieces:
                yield from self._finished()
                yield LaidOut(number, raw, "no markers")
        if before and pieces:  # a marker in somebody's words
            yield from self._finished()
            yield LaidOut(number, raw, why_never_asked(line))
            return
        alone = len(speakers) > 1 and not self._left_open(pieces)
        if alone:
            yield from self._finished()
        for piece in pieces:
            yield from self._piece(number, raw, piece, blank)
        if alone:
            yield from self._finished()

    def _left_open(self, pieces: list[Piece]) -> bool:
        """Whether the last turn of a line goes on in the next."""
        return self._style.closed and pieces[-1].mark != "end"

    def _goes_on(self, blank: bool, closed: bool) -> bool:
        """Whether text without a marker belongs to the turn before it."""
        if self._skipping or not self._turns or self._ended:
            return self._skipping
        return not blank or closed or not any(self._turns[-1][1])

    def _text(self, number: int, raw: str, text: str) -> None:
        """Another line of the turn that is open."""
        if not self._skipping:
            if not self._style.closed and any(self._turns[-1][1]):
                self._tell("lines without a marker, part of the turn above", number)
            self._turns[-1][1].append(text)
            self._from.append((number, raw))

    def _piece(self, number: int, raw: str, piece: Piece, blank: bool) -> Iterator[LaidOut]:
        mark = piece.mark
        if mark not in _SPEAKERS:
            if mark != "end":
                yield from self._finished()
            self._ended, self._skipping = True, mark == "system"
            if self._skipping:
                self._done[LEFT_OUT] += 1
            elif piece.text.strip():
                yield from self._finished()
                yield LaidOut(number, piece.text.strip(), "no markers")
            return
        marker = _SPEAKERS[mark]
        last = self._turns[-1][0] if self._turns else None
        same_line = bool(self._from) and self._from[-1][0] == number
        if not same_line and last is not None:
            another = last == ASSISTANT and (blank or not self._is_divided)
            if marker == last or (marker == USER and another):
                yield from self._finished()
        self._turns.append((marker, [piece.text]))
        if not same_line or not self._from:
            self._from.append((number, raw))
        self._ended = self._skipping = False

    def _finished(self) -> Iterator[LaidOut]:
        """The conversation that was open, if there is one."""
        turns, came_from = self._turns, self._from
        self._turns, self._from, self._ended, self._skipping = [], [], False, False
        if not turns:
            return
        number, raw = came_from[0]
        if any(map(_is_empty, turns)):
            turns = self._without_empty_end(turns, number)
        texts = ["\n".join(lines).strip("\n") for _, lines in turns]
        markers = [marker for marker, _ in turns]
        whole = " ".join(
            f"{marker} {' '.join(text.split())}"
            for marker, text in zip(markers, texts, strict=True)
        )
        fault = why_never_asked(whole)
        if fault is not None and fault != ENDS_WITH_USER:  # it stays as it stands
            if self._style is not OURS:
                yield LaidOut(number, whole, fault)
                return
            for one, text in came_from:
                if (one, text) != self._whole:  # once, whatever its marks
                    yield LaidOut(one, text, why_never_asked(text))
                self._whole = one, text
            return
        if self._style is OURS:
            texts = [text.replace(LINE_BREAK, "\n") for text in texts]
        document = long_conversation(texts)
        if self._style is not OURS:
            several = len(came_from) > 1 and not self._is_divided
            self._tell(self._style.name + _EACH.format("question") * several, number)
        elif len(came_from) > 1:
            self._tell("a turn a line" + _EACH.format(USER) * (not self._is_divided), number)
        elif raw.strip() != document:
            unspaced = re.search(r"\|>(?=[^\s<])|(?<=\S)<\|", raw)
            spaces = " ".join(raw.split()) == document
            other = "more than single spaces" if spaces else "signs around turns, left out"
            self._tell("no spaces around markers" if unspaced else other, number)
        yield LaidOut(number, document, fault)

    def _without_empty_end(
        self, turns: list[tuple[str, list[str]]], number: int
    ) -> list[tuple[str, list[str]]]:
        """Turns without those at the end in which nothing is said, if a reply is before them."""
        kept = len(turns)
        while kept and _is_empty(turns[kept - 1]):
            kept -= 1
        if kept == len(turns) or kept < 2:
            return turns
        self._tell("markers with nothing behind them, left out", number)
        return turns[:kept]

    def _tell(self, what: str, number: int) -> None:
        """Count what was done to a line, one thing at most."""
        if self._told != number:
            self._done[what] += 1
            self._told = number
