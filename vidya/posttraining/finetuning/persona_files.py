"""The files of a persona as documents: conversations in any clear layout, or plain text."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from vidya.corpora.plain_text import text_documents
from vidya.errors import UserError
from vidya.system.read_once import called
from vidya.terminal.formatting import plural
from vidya.text.conversation_format import ASSISTANT, USER
from vidya.text.conversation_layouts import ENDS_WITH_USER, conversations_in, counted_things
from vidya.text.corpus_file import read_lines, require_documents
from vidya.text.speaker_marks import names_before_lines

PLAIN_TEXT = "plain text"
"""Why a passage can never be asked for."""
_SHOWN = 5
"""Line numbers that are shown for each reason."""


class PersonaDocument(NamedTuple):
    """A document of a persona, as `LaidOut` has it."""

    line: int
    text: str
    fault: str | None

    @property
    def partly_asked(self) -> bool:
        """Whether only its end has a fault."""
        return self.fault == ENDS_WITH_USER


def read_persona_file(
    path: Path, loss: Literal["assistant", "all"]
) -> tuple[list[PersonaDocument], list[str]]:
    """The documents of a file, and lines that say what it was taken for and what was done.

    Raises:
        UserError: it cannot be read, is not text or is empty, or only the user speaks in it.
    """
    lines = list(read_lines(path, tables=True))
    require_documents(filter(str.strip, lines), called(path))
    found = conversations_in(lambda: lines)
    documents = [PersonaDocument(*one) for one in found or ()]
    replying = sum(ASSISTANT in one.text for one in documents)
    if found is None or not replying:
        if documents and 2 * sum(one.text.startswith(USER) for one in documents) >= len(documents):
            raise UserError(
                f"{path} has only the user's words, and no reply to learn: write {ASSISTANT} and "
                "the reply behind each"
            )
        passages = [
            PersonaDocument(1, text, PLAIN_TEXT) for text in text_documents(path, "passage")
        ]
        what = f"plain text, {plural(len(passages), 'passage')}; every token counts"
        about = [f"{path}: {what}"]
        if names := names_before_lines(lines):
            about.append(
                f"{path}: most lines begin with {names[0]}: or {names[1]}:, and who of them is the "
                f"assistant is not clear: write {USER} and {ASSISTANT} instead to teach replies"
            )
        return passages, about
    if not any(_says_something(one.text) for one in documents):
        raise UserError(
            f"{path} has no reply with words in it: write them behind {ASSISTANT}, as in "
            f"{USER} who are you? {ASSISTANT} I am vidya."
        )
    what = plural(replying, "conversation")
    if replying < len(documents):
        what += (
            f" and {plural(len(documents) - replying, 'other line')}, of which every token counts"
        )
    whose = "the assistant's words count" if loss == "assistant" else "every token counts"
    about = [f"{path}: {what}; {whose}"]
    if found.done:
        about.append(f"{path}: put into the corpus form: {counted_things(found.done)}")
    whole = [one for one in documents if one.fault is not None and not one.partly_asked]
    ends = [one for one in documents if one.partly_asked]
    if whole:
        which = "which is taught as it stands" if len(whole) == 1 else "taught as they stand"
        about.append(
            f"{path}: {plural(len(whole), 'line')} that chat can never ask for, {which}: "
            f"{_reasons(whole)}"
        )
    if ends:
        about.append(
            f"{path}: {plural(len(ends), 'conversation')} with no last reply: {_reasons(ends)}"
        )
    return documents, about


def _reasons(documents: Iterable[PersonaDocument]) -> str:
    """Each reason with the first lines that have it."""
    lines: dict[str, list[str]] = {}
    for one in documents:
        lines.setdefault(str(one.fault), []).append(f"{one.line:,}")
    return "; ".join(f"{reason} ({_some(numbers)})" for reason, numbers in lines.items())


def _some(numbers: list[str]) -> str:
    more = len(numbers) - _SHOWN
    shown = ", ".join(numbers[:_SHOWN])
    return f"{'line' if len(numbers) == 1 else 'lines'} {shown}" + f" and {more:,} more" * (
        more > 0
    )


def _says_something(document: str) -> bool:
    """Whether the assistant has words in a document."""
    replies = document.split(ASSISTANT)[1:]
    return any(reply.split(USER)[0].strip() for reply in replies)
