"""Conversations in rows of files, in the layouts that people keep them in, as messages."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Callable
from itertools import chain
from typing import Any

from vidya.user_files.chat_transcripts import open_transcript, transcript_messages
from vidya.user_files.message_fields import (
    ASSISTANT,
    SYSTEM,
    USER,
    Messages,
    is_message,
    role_and_text,
)

Counts = dict[str, int]
LISTS = (
    "messages", "conversations", "conversation", "dialog", "dialogue", "dialogs", "dialogues",
    "utterances", "turns", "chat", "data", "items", "chosen", "chat_messages", "contents",
)  # fmt: skip
"""Names under which a row has the list of its messages."""
PAIRS = (
    ("instruction", "output"), ("instruction", "response"), ("instruction", "completion"),
    ("prompt", "response"), ("prompt", "completion"), ("prompt", "chosen"), ("prompt", "output"),
    ("prompt", "answer"), ("question", "answer"), ("question", "response"), ("query", "response"),
    ("query", "answer"), ("input", "output"), ("input", "response"), ("inputs", "targets"),
    ("user", "assistant"), ("human", "assistant"), ("human", "bot"), ("user", "bot"),
    ("human", "gpt"), ("human", "ai"), ("user", "ai"), ("user", "model"), ("user", "gpt"),
    ("questions", "answers"), ("problem", "solution"), ("q", "a"), ("request", "response"),
)  # fmt: skip
"""Names under which a row has a question and its answer."""
TEXTS = ("text", "chosen", "content", "prompt")
"""Names under which a row may have a whole conversation written out."""
_MORE = ("input", "context")
"""What an instruction is about (Alpaca, Dolly)."""
_SYSTEMS = ("system", "system_prompt", "system_message")
_SPEAKERS = "speakers"
"""The name under which who says each text of a list is told (SODA)."""
KNOWN = frozenset([*LISTS, *(name for pair in PAIRS for name in pair), *TEXTS, *_MORE, *_SYSTEMS,
                   "history", "mapping", "current_node", "label", _SPEAKERS])  # fmt: skip
"""All names of fields that are looked at."""
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)


def messages_of(row: object, left_out: Counts) -> tuple[str, Messages]:
    """What a row of a file says: the name of its layout, and its messages.

    Args:
        row: a list, or an object by the names of its fields.
        left_out: counts parts of messages that are no text.

    Raises:
        LookupError: no layout of a conversation; the text is the reason.
        ValueError: one with something in it that cannot be used; likewise.
    """
    if isinstance(row, list):
        return "lists of messages", _listed(row, left_out)
    if not isinstance(row, dict):
        raise LookupError("no conversation but a single value")
    fields = {str(name).strip().lower(): value for name, value in row.items()}
    for layout in _LAYOUTS:
        if (found := layout(fields, left_out)) is not None:
            return found
    hint = " (vidya.data text reads texts)" if isinstance(fields.get("text"), str) else ""
    raise LookupError(f"no conversation: it has {', '.join(map(repr, row)) or 'nothing'}{hint}")


_Found = tuple[str, Messages] | None


def _list_of_messages(fields: dict[str, Any], left_out: Counts) -> _Found:
    for name in LISTS:
        if name not in fields:
            continue
        value = utterances(fields[name])
        if isinstance(value, str) or (not isinstance(value, list) and len(fields) > 1):
            continue  # a question, perhaps, with an answer beside it
        if not isinstance(value, list):
            raise ValueError(f"without a list of {name}")
        if name == "items" and value and not is_message(value[0]):
            continue
        system = [(SYSTEM, text) for text in _of(fields, _SYSTEMS)]
        what = name
        if name == "chosen" and value and role_and_text(value[0], Counter())[0] == ASSISTANT:
            return _question_and_answer(fields, left_out)  # what is asked stands beside it
        if name == "conversations" and value and isinstance(value[0], dict) and "from" in value[0]:
            what = "ShareGPT"
        elif name == "data" and value and isinstance(value[0], str):
            what = "UltraChat"
        if (spoken := _by_speakers(value, fields.get(_SPEAKERS))) is not None:
            return what, system + spoken
        return what, system + _listed(value, left_out)
    return None


def _by_speakers(texts: list[Any], speakers: object) -> Messages | None:
    """Texts whose speakers another list names; who speaks first is the user."""
    speakers = utterances(speakers)
    if not isinstance(speakers, list) or not texts or not all(isinstance(t, str) for t in texts):
        return None
    if len(speakers) != len(texts):
        raise ValueError("with more or fewer speakers than texts")
    names = list(dict.fromkeys(map(str, speakers)))
    if len(names) > 2:
        raise ValueError("with more than two speakers")
    roles = dict(zip(names, (USER, ASSISTANT), strict=False))
    return [(roles[str(name)], text) for name, text in zip(speakers, texts, strict=True)]


def utterances(value: object) -> object:
    """A list that stands in a cell of a table as text, as Python, NumPy or JSON write it."""
    if not isinstance(value, str) or not re.match(r"\s*\[\s*['\"{\[\]]", value):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        pass
    if value.lstrip()[1:].lstrip()[:1] not in ("'", '"'):
        try:
            return ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return value
    # NumPy puts no comma between texts, so Python would take them for one
    return [str(ast.literal_eval(f"({quoted})")) for quoted in _QUOTED.findall(value)]


def _listed(values: list[Any], left_out: Counts) -> Messages:
    """The messages of a list: objects, or texts of which the first is the user's."""
    if values and all(isinstance(value, str) for value in values):
        return [((USER, ASSISTANT)[number % 2], text) for number, text in enumerate(values)]
    return [role_and_text(message, left_out) for message in values]


def _question_and_answer(fields: dict[str, Any], left_out: Counts) -> _Found:
    for question, answer in PAIRS:
        if question not in fields or answer not in fields:
            continue
        asked, said = fields[question], fields[answer]
        if answer == "completion" and fields.get("label") is False:  # KTO: what not to say
            raise ValueError("with a completion that is labelled as bad")
        if _is_column(asked) and _is_column(said):
            if question == "questions" and len(asked) == len(said):
                both = zip(asked, said, strict=True)
                return f"{question} and {answer}", _listed(list(chain(*both)), left_out)
            raise ValueError(f"with whole columns of {question} and {answer} and not a row each")
        if isinstance(asked, list) and isinstance(said, (list, str)):
            reply = said if isinstance(said, list) else [{"role": ASSISTANT, "content": said}]
            return f"{question} and {answer}", _listed([*asked, *reply], left_out)
        if not isinstance(asked, str) or not isinstance(said, str):
            raise ValueError(f"with {question} or {answer} that is no text")
        if (written := open_transcript(asked, said)) is not None:
            system = [(SYSTEM, text) for text in _of(fields, _SYSTEMS)]
            return f"{question} with {written[0]} turns and {answer}", system + written[1]
        more = [text for text in _of(fields, _MORE) if question not in _MORE]
        name = "Alpaca" if (question, answer) == ("instruction", "output") else ""
        earlier = fields.get("history")
        messages = [(SYSTEM, text) for text in _of(fields, _SYSTEMS)]
        for pair in earlier if isinstance(earlier, list) else []:
            if isinstance(pair, list) and len(pair) == 2 and all(isinstance(t, str) for t in pair):
                messages += [(USER, pair[0]), (ASSISTANT, pair[1])]
        messages += [(USER, "\n\n".join([asked, *more])), (ASSISTANT, said)]
        return name or f"{question} and {answer}", messages
    return None


def _is_column(value: object) -> bool:
    """Whether a value is a list of plain texts: of two such, nothing says whose turn is when."""
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _of(fields: dict[str, Any], names: tuple[str, ...]) -> list[str]:
    """The texts, not blank, that stand under some names."""
    some = [fields.get(name) for name in names]
    return [text for text in some if isinstance(text, str) and text.strip()]


def _tree(fields: dict[str, Any], left_out: Counts) -> _Found:
    """OpenAssistant's: a message with replies, of which the best, or else the first, is taken."""
    message = fields.get("prompt")
    if not isinstance(message, dict) or "replies" not in message:
        return None
    messages: Messages = []
    while isinstance(message, dict):
        messages.append(role_and_text(message, left_out))
        replies = [one for one in message.get("replies") or [] if isinstance(one, dict)]
        message = min(replies, key=lambda one: one.get("rank") or 0, default=None)
    return "OpenAssistant", messages


def _chatgpt_export(fields: dict[str, Any], left_out: Counts) -> _Found:
    """A conversation as ChatGPT exports it: the branch that was looked at last."""
    nodes, node = fields.get("mapping"), fields.get("current_node")
    if not isinstance(nodes, dict):
        return None
    messages: Messages = []
    for _ in range(len(nodes)):
        found = nodes.get(node) if isinstance(node, str) else None
        if not isinstance(found, dict):
            break
        if isinstance(found.get("message"), dict):
            messages.append(role_and_text(found["message"], left_out))
        node = found.get("parent")
    return "ChatGPT's export", messages[::-1]


def _written_out(fields: dict[str, Any], _: Counts) -> _Found:
    for name in TEXTS:
        if isinstance(fields.get(name), str):
            found = transcript_messages(fields[name])
            if found is not None:
                return f"{name} with {found[0]} turns", found[1]
    return None


_LAYOUTS: tuple[Callable[[dict[str, Any], Counts], _Found], ...] = (
    _list_of_messages, _tree, _chatgpt_export, _question_and_answer, _written_out,
)  # fmt: skip


def has_conversation(names: list[str]) -> bool:
    """Whether a table with columns of these names can hold conversations."""
    lower = {name.strip().lower() for name in names}
    lists = {"messages", "conversations", "conversation", "dialog", "dialogue", "utterances"}
    return any({*pair} <= lower for pair in [*PAIRS, ("chosen", "rejected")]) or bool(lower & lists)
