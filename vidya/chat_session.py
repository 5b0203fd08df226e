"""A conversation with a model, and the file that it is kept in.

- The ids of a conversation stay as they were computed, so that nothing of it is
  computed again for the next message. Text that was typed is tokenised; what the model
  wrote stays the ids that it drew.
- When the context is full, the oldest exchanges fall out of what the model sees
  (vidya/generate.py); the conversation itself keeps them.
- A file of conversations is a corpus (vidya/corpus.py), a conversation a line. Only its
  last line ever changes, and it is replaced atomically: a crash loses nothing that was
  in it.
"""

from __future__ import annotations

import os
from collections.abc import Generator as Stream
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vidya.atomic import write_bytes
from vidya.conversation import conversation_ids, message_ids, turns_of
from vidya.corpus import long_conversation, prepare_output, read_documents
from vidya.errors import UserError
from vidya.generate import Generator
from vidya.replies import Reply, write_replies

if TYPE_CHECKING:
    from vidya.decoder import Precision
    from vidya.pretrained import Pretrained
    from vidya.sampling import Sampling


class Conversation:
    """The turns so far, and replies to new messages.

    A reply that was stopped stays in the conversation as far as it came; a message
    that got no reply at all does not stay.

    Attributes:
        turns: texts of the user and of the model in turn.
        sampling: how replies are drawn; may be replaced between two of them.
        last: the last reply, with its times; None before the first.
        window: tokens that the model sees at a time.
        precision: of the weights.
    """

    def __init__(
        self, pretrained: Pretrained, sampling: Sampling, max_tokens: int,
        precision: Precision = "fp32",
    ) -> None:  # fmt: skip
        self.turns: list[str] = []
        self.sampling = sampling
        self.last: Reply | None = None
        self.precision = precision
        self._tokenizer = pretrained.tokenizer
        self._generator = Generator(
            pretrained.model, precision, slots=1, turn_starts=[pretrained.tokenizer.user_id]
        )
        self.window = self._generator.window
        self._max_tokens = max_tokens
        self._ids = [self._tokenizer.bos_id]
        self._rng = sampling.rng()

    @property
    def tokens(self) -> int:
        """How many tokens of the conversation the model still sees."""
        return len(self._ids)

    def reset(self) -> None:
        """Forget the turns so far, and begin the random stream again."""
        self.resume([])

    def resume(self, turns: list[str]) -> None:
        """Go on with another conversation, and begin the random stream again.

        Args:
            turns: texts of the user and of the model in turn, the model's last.
        """
        self.turns = list(turns)
        self._ids = conversation_ids(self._tokenizer, self.turns, self._room())
        self._rng = self.sampling.rng()

    def reply(self, message: str) -> Stream[str, None, None]:
        """The reply to a message, in pieces as it is written. Safe to close at any time."""
        writing = write_replies(
            self._generator,
            self._tokenizer,
            [[*self._ids, *message_ids(self._tokenizer, message, self._room() - 1)]],
            max_tokens=self._max_tokens,
            sampling=self.sampling,
            rngs=[self._rng],
        )
        reply = None
        try:
            for reply, piece in writing:
                self.last = reply
                if piece:
                    yield piece
        finally:
            writing.close()
            if reply is not None and reply.text:
                self._keep(message, reply)

    def _keep(self, message: str, reply: Reply) -> None:
        self.turns += [message, reply.text]
        self._ids = reply.context
        # The space that closes a turn in the corpus, where the model did not write it.
        if not self._tokenizer.decode_bytes(self._ids[-1:]).endswith(b" "):
            self._ids += self._tokenizer.encode_text(" ")

    def _room(self) -> int:
        """Tokens that what stands before a reply may have: the reply needs some, too."""
        return max(1, self.window - self.window // 4)


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
            prepare_output(path)
        seen = _state(path)
        if seen is None and not must_exist:
            return cls(path, [], [], None)
        documents = list(read_documents(path))
        turns = turns_of(documents[-1]) if documents else []
        if turns is None:
            raise UserError(
                f"the last line of {path} is no conversation (<|user|> … <|assistant|> …): "
                "name another file"
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
