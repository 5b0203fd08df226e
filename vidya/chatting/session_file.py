"""A file of conversations, of which the last goes on.

It is a corpus (vidya/text/conversation_format.py), a conversation a line. Only its last line
ever changes, and it is replaced atomically: a crash loses nothing that was in it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from vidya.errors import UserError
from vidya.system.atomic_file import write_bytes
from vidya.text.conversation_format import long_conversation, turns_of
from vidya.text.corpus_file import prepare_output, read_lines
from vidya.user_files.text_input import require_plain


@dataclass
class ConversationFile:
    """A file of conversations, of which the last goes on."""

    path: Path
    earlier: list[str]
    """Documents that stay as they are."""
    turns: list[str]
    """The conversation that goes on; empty for a new one."""
    _seen: tuple[int, int, int] | None
    """What the file was when it was read or written last."""

    @classmethod
    def open(cls, path: Path, *, must_exist: bool = False) -> ConversationFile:
        """Read a file; one that is not there yet has no conversations.

        A last message without a reply is left out of the conversation that goes on, and
        its line stays as it is.

        Raises:
            UserError: it cannot be read or written, or its last line is no conversation.
        """
        if not must_exist:
            prepare_output(path, of_text=False)
        seen = _state(path)
        if seen is None and not must_exist:
            return cls(path, [], [], None)
        require_plain(path)
        documents = [line for line in read_lines(path) if line.strip()]
        turns = turns_of(documents[-1]) if documents else []
        if turns is None:
            raise UserError(
                f"the last line of {path} is no conversation (<|user|> … <|assistant|> …): "
                "name another file, or make one of it with python -m vidya.data chat"
            )
        for number, document in enumerate(documents[:-1], 1):
            if turns_of(document) is None:
                raise UserError(
                    f"document {number} of {path} is no conversation (<|user|> … <|assistant|> …), "
                    "so it is no session: name another file"
                )
        whole = len(turns) // 2 * 2
        earlier = documents if whole < len(turns) else documents[:-1]
        return cls(path, earlier, turns[:whole], seen)

    def begin(self) -> None:
        """The conversation so far stays as it is: what is written next is another."""
        if self.turns:
            self.earlier.append(long_conversation(self.turns))
            self.turns = []

    def write(self, turns: list[str]) -> None:
        """Replace the conversation that goes on; an empty one is not written.

        Raises:
            UserError: the disk is full, or another program changed the file.
        """
        if _state(self.path) != self._seen:
            raise UserError(f"{self.path} was changed by another program: /save to another file")
        self.turns = list(turns)
        lines = [*self.earlier, *([long_conversation(turns)] if turns else [])]
        text = "".join(f"{line}\n" for line in lines).encode()
        write_bytes(self.path, text)
        self._seen = _state(self.path)


def _state(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file does; None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
