"""From messages to the turns of a document: roles that alternate, the user's first."""

from __future__ import annotations

import itertools
from typing import Literal

from vidya.text.conversation_format import long_conversation, on_one_line, without_markers
from vidya.user_files.message_fields import ASSISTANT, SYSTEM, TOOL, USER, Messages

System = Literal["drop", "merge", "keep"]
"""What becomes of a system message: nothing, the beginning of what the user says next, or text
before the first marker."""


def conversation_document(messages: Messages, left_out: dict[str, int], system: System) -> str:
    """A conversation as a document, its line breaks kept.

    Raises:
        ValueError: as `usable_turns`.
    """
    head = ""
    if system == "keep" and messages and messages[0][0] == SYSTEM:
        head = without_markers(on_one_line(messages[0][1]))
        messages = messages[1:]
    document = long_conversation(usable_turns(messages, left_out, system))
    return f"{head} {document}" if head else document


def usable_turns(
    messages: Messages, left_out: dict[str, int], system: System = "drop"
) -> list[str]:
    """The turns of a conversation, the user's first, then in turn; two at least.

    Left out, and counted in `left_out`: system messages (unless they go before what the user
    says next), messages of nothing but space, and what the assistant says before the user has
    said anything. Messages that one role sends in a row are one turn, a paragraph each.

    Raises:
        ValueError: the conversation cannot be used; the message is the reason.
    """
    if any(role == TOOL for role, _ in messages):
        raise ValueError("with calls of tools")
    if any(role not in (USER, ASSISTANT, SYSTEM) for role, _ in messages):
        raise ValueError("with an unknown role")
    spoken = _without_system(messages, left_out, system)
    from_user = list(itertools.dropwhile(lambda message: message[0] != USER, spoken))
    if len(from_user) < 2 or all(role == USER for role, _ in from_user):
        raise ValueError("without a reply to the user")
    left_out["message before the user's first"] += len(spoken) - len(from_user)
    by_role = itertools.groupby(from_user, key=lambda message: message[0])
    return ["\n\n".join(text for _, text in turn) for _, turn in by_role]


def _without_system(messages: Messages, left_out: dict[str, int], system: System) -> Messages:
    """What user and assistant say, with what the system says before the user's words or gone."""
    spoken: Messages = []
    waiting: list[str] = []
    for role, text in messages:
        if not text.strip():
            left_out["empty message"] += 1
        elif role == SYSTEM:
            waiting.append(text)
        elif role == USER and system != "drop":
            spoken.append((USER, "\n\n".join([*waiting, text])))
            waiting = []
        else:
            spoken.append((role, text))
    left_out["system message"] += len(waiting)
    return spoken
