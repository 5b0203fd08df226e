"""Conversations as token ids, and replies as text.

A conversation is laid out as in the corpus (vidya/text/conversation_format.py): each turn is its
marker, a space, the text and a space, so a prompt is tokenised exactly as training
data is. The text of a turn is always encoded as plain text: a marker that someone
types, or that a model spells out, does not become a marker.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from vidya.text.conversation_format import LINE_BREAK, on_one_line
from vidya.text.tokenizer import Tokenizer


def chat_prompt(tokenizer: Tokenizer, turns: Sequence[str], limit: int) -> list[int]:
    """Ids of a conversation up to the marker after which the model's reply comes.

    Whitespace in a turn becomes single spaces, as in the corpus; line breaks stay (as `↵`)
    for a tokenizer of a corpus that had many, which has a token for them. When there are more
    than `limit` ids, the oldest exchanges are left out, then the beginning of the last message;
    the three markers around that stay.

    Raises:
        ValueError: the last turn is not the user's.
    """
    if len(turns) % 2 == 0:
        raise ValueError("the last turn must be the user's")
    message = message_ids(tokenizer, turns[-1], limit - 1)
    return [*conversation_ids(tokenizer, turns[:-1], limit - len(message)), *message]


def message_ids(tokenizer: Tokenizer, message: str, limit: int) -> list[int]:
    """Ids of a user's message with the marker before it and the reply's marker after it.

    Both markers stay; a message of more than `limit` ids with them loses its beginning.
    """
    text = turn_ids(tokenizer, message)
    room = max(0, limit - 2)
    return [tokenizer.user_id, *text[max(0, len(text) - room) :], tokenizer.assistant_id]


def conversation_ids(tokenizer: Tokenizer, turns: Sequence[str], limit: int) -> list[int]:
    """Ids of what was said so far: `<|bos|>`, and the newest whole exchanges that fit `limit` ids.

    The turns are the user's and the model's in turn; the last one is the model's.
    """
    exchanges: list[list[int]] = []
    room = limit - 1
    for number in reversed(range(0, len(turns), 2)):
        message, reply = (turn_ids(tokenizer, turn) for turn in turns[number : number + 2])
        exchange = [tokenizer.user_id, *message, tokenizer.assistant_id, *reply]
        room -= len(exchange)
        if room < 0:
            break
        exchanges.append(exchange)
    return [tokenizer.bos_id, *(i for exchange in reversed(exchanges) for i in exchange)]


def beside_reply(window: int) -> int:
    """Tokens that what stands before a reply may have in a context: the reply needs some, too."""
    return max(1, window - window // 4)


def with_message(
    tokenizer: Tokenizer, so_far: Sequence[int], message: str, window: int
) -> list[int]:
    """Ids of a conversation as they were computed, and a new message up to where its reply comes.

    A message that does not fit a context of `window` tokens loses its beginning.
    """
    return [*so_far, *message_ids(tokenizer, message, beside_reply(window) - 1)]


def with_closed_turn(tokenizer: Tokenizer, ids: list[int]) -> list[int]:
    """Ids that end with a reply, and the space that closes a turn in the corpus, if it lacks."""
    if tokenizer.decode_bytes(ids[-1:]).endswith(b" "):
        return ids
    return [*ids, *tokenizer.encode_text(" ")]


def turn_ids(tokenizer: Tokenizer, turn: str) -> list[int]:
    """Ids of what someone said, with the spaces around it that the corpus has, no markers."""
    return tokenizer.encode_text(plain_turn(tokenizer, turn))


def plain_turn(tokenizer: Tokenizer, turn: str) -> str:
    """The text of a turn as it is encoded: on one line, with the spaces around it."""
    return f" {corpus_line(tokenizer, turn)} "


def corpus_line(tokenizer: Tokenizer, text: str) -> str:
    """Text on one line, as the corpus of a tokenizer has it: with `↵` if that knows it."""
    knows_lines = len(tokenizer.encode_text(LINE_BREAK)) == 1
    return on_one_line(text) if knows_lines else " ".join(text.split())


class TextStream:
    """The text of a reply as its tokens come, by default without the space around it.

    A character is passed on when all its bytes are there. Bytes that are no UTF-8
    become U+FFFD, and the `↵` of the corpus a line break. The pieces together are
    `tokenizer.decode(ids)` with line breaks, stripped if that is wanted.
    """

    def __init__(self, tokenizer: Tokenizer, *, strip: bool = True) -> None:
        self._strip = strip
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._begun = False
        self._held = ""  # space that may turn out to be the last

    def add(self, token: int) -> str:
        """What can be shown after one more id; may be nothing."""
        text = self._decoder.decode(self._tokenizer.decode_bytes([token]))
        text = self._held + text.replace(LINE_BREAK, "\n")
        if not self._strip:
            return text
        if not self._begun:
            text = text.lstrip()
        piece = text.rstrip()
        self._held = text[len(piece) :]
        self._begun = self._begun or bool(piece)
        return piece

    def end(self) -> str:
        """What is left when no more ids come: the sign of a character that was cut off."""
        cut = self._decoder.decode(b"", final=True)
        return self._held + cut if cut else ""
