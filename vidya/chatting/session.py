"""A conversation with a model.

- The ids of a conversation stay as they were computed, so that nothing of it is
  computed again for the next message. Text that was typed is tokenised; what the model
  wrote stays the ids that it drew.
- When the context is full, the oldest exchanges fall out of what the model sees
  (vidya/generation/generator.py); the conversation itself keeps them.
"""

from __future__ import annotations

from collections.abc import Generator as Stream

from vidya.errors import UserError
from vidya.generation.chat_tokens import (
    beside_reply,
    conversation_ids,
    with_closed_turn,
    with_message,
)
from vidya.generation.precision import WeightPrecision
from vidya.generation.replies import Reply, reply_generator, write_replies
from vidya.generation.sampling_settings import SamplingSettings
from vidya.storage.pretrained import Pretrained


class Conversation:
    """The turns so far, and replies to new messages.

    A reply that was stopped stays in the conversation as far as it came; a message
    that got no reply at all does not stay.

    Attributes:
        turns: texts of the user and of the model in turn.
        sampling: how replies are drawn; may be replaced between two of them.
        last: the last reply, with its times; None before the first.
        window: tokens that the model sees at a time.
        precision: of the weights that it is run with.
    """

    def __init__(
        self, pretrained: Pretrained, sampling: SamplingSettings, max_tokens: int,
        precision: WeightPrecision = "fp32",
    ) -> None:  # fmt: skip
        self.turns: list[str] = []
        self.sampling = sampling
        self.last: Reply | None = None
        self.precision = precision
        self._tokenizer = pretrained.tokenizer
        self._generator = reply_generator(pretrained.model, pretrained.tokenizer, 1, precision)
        self.window = self._generator.window
        self._max_tokens = max_tokens
        self._ids = [self._tokenizer.bos_id]
        self._ids_before: list[int] | None = None
        self._rng = sampling.rng()

    @property
    def tokens(self) -> int:
        """How many tokens of the conversation the model still sees."""
        return len(self._ids)

    def reset(self) -> None:
        """Forget the turns so far, and begin the random stream again."""
        self.resume([])

    def resume(self, turns: list[str]) -> None:
        """Go on with other turns, the model's last, and begin the random stream again."""
        self.turns = list(turns)
        room = beside_reply(self.window)
        self._ids = conversation_ids(self._tokenizer, self.turns, room)
        self._ids_before = None
        self._rng = self.sampling.rng()

    def take_back(self) -> str:
        """Forget the last exchange; returns its message. The random stream goes on.

        Raises:
            UserError: there is none.
        """
        if not self.turns:
            raise UserError("nothing was said yet")
        *self.turns, message, _ = self.turns
        if self._ids_before is None:  # a conversation that was read from a file, or the one before
            room = beside_reply(self.window)
            self._ids_before = conversation_ids(self._tokenizer, self.turns, room)
        self._ids, self._ids_before = self._ids_before, None
        return message

    def reply(self, message: str) -> Stream[str, None, None]:
        """The reply to a message, in pieces as it is written. Safe to close at any time."""
        writing = write_replies(
            self._generator,
            self._tokenizer,
            [with_message(self._tokenizer, self._ids, message, self.window)],
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
                self.turns += [message, reply.text]
                self._ids_before = self._ids
                self._ids = with_closed_turn(self._tokenizer, reply.context)
