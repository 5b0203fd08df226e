"""Conversations as token ids, and replies as text.

A conversation is laid out as the corpus has it (vidya/corpus.py): each turn is its
marker, a space, the text and a space, so a prompt is tokenised exactly as training
data is. The text of a turn is always encoded as plain text: a marker that someone
types, or that a model spells out, does not become a marker.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Sequence

from vidya.corpus import LINE_BREAK, on_one_line
from vidya.tokenizer import Tokenizer


def chat_prompt(tokenizer: Tokenizer, turns: Sequence[str], limit: int) -> list[int]:
    """Ids of a conversation up to the marker after which the model's reply comes.

    Whitespace in a turn becomes single spaces, as in the corpus; line breaks stay (as `↵`)
    for a tokenizer of a corpus that had many, which has a token for them. When the ids are too
    many, the oldest exchanges are left out, then the beginning of the last message.

    Args:
        tokenizer: the model's.
        turns: texts, the user's and the model's in turn; the last one is the user's.
        limit: ids wanted at most; the three markers around the last message stay.

    Raises:
        ValueError: the last turn is not the user's.
    """
    if len(turns) % 2 == 0:
        raise ValueError("the last turn must be the user's")
    markers = tokenizer.user_id, tokenizer.assistant_id
    knows_lines = len(tokenizer.encode_text(LINE_BREAK)) == 1
    plain = (on_one_line(turn) if knows_lines else " ".join(turn.split()) for turn in turns)
    *earlier, message = (tokenizer.encode_text(f" {turn} ") for turn in plain)
    room = max(0, limit - 3)
    message = message[max(0, len(message) - room) :]
    ids = [tokenizer.user_id, *message, tokenizer.assistant_id]
    for number in reversed(range(0, len(earlier), 2)):
        exchange = [
            token
            for marker, text in zip(markers, earlier[number : number + 2], strict=True)
            for token in (marker, *text)
        ]
        if 1 + len(exchange) + len(ids) > limit:
            break
        ids = exchange + ids
    return [tokenizer.bos_id, *ids]


def stream_text(tokenizer: Tokenizer, ids: Iterable[int]) -> Iterator[str]:
    """The text of a reply, in pieces as its tokens come, without the space around it.

    A character is passed on when all its bytes are there. Bytes that are no UTF-8
    become U+FFFD, and the `↵` of the corpus a line break. The pieces together are
    `tokenizer.decode(ids)` with line breaks, stripped.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    begun, held = False, ""  # held: space that may turn out to be the last
    for token in ids:
        text = held + decoder.decode(tokenizer.decode_bytes([token])).replace(LINE_BREAK, "\n")
        if not begun:
            text = text.lstrip()
        piece = text.rstrip()
        held = text[len(piece) :]
        if piece:
            begun = True
            yield piece
    if cut := decoder.decode(b"", final=True):
        yield held + cut
