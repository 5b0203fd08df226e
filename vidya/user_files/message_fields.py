"""Who says a message, and what: the names that files have for it."""

from __future__ import annotations

from typing import Any

_ROLE_KEYS = ("role", "from", "author", "speaker", "sender")
_TEXT_KEYS = ("content", "value", "text", "message", "body", "parts")
_TOOL_PARTS = ("tool_use", "tool_result", "server_tool_use", "function_call", "functioncall",
               "functionresponse")  # fmt: skip
"""Kinds of parts of a message that call a tool or give its result."""
USER, ASSISTANT, SYSTEM, TOOL = "user", "assistant", "system", "tool"
_ROLES = {
    **dict.fromkeys(["user", "human", "prompter", "person", "customer", "client"], USER),
    **dict.fromkeys(
        ["assistant", "gpt", "chatgpt", "bing", "bard", "bot", "chatbot", "ai", "model", "claude",
         "llm", "agent"],
        ASSISTANT,
    ),
    **dict.fromkeys(["system", "developer"], SYSTEM),
    **dict.fromkeys(
        ["tool", "function", "function_call", "function_response", "observation", "tool_call",
         "tool_calls", "tool_response", "tool_result", "ipython", "environment"],
        TOOL,
    ),
}  # fmt: skip
Messages = list[tuple[str, str]]
"""Role and text of each message; a role that is not one of the four above is not known."""


def is_message(value: object) -> bool:
    """Whether a value looks like one message of a conversation."""
    if not isinstance(value, dict):
        return False
    keys = {str(key).strip().lower() for key in value}
    return not keys.isdisjoint(_ROLE_KEYS) and not keys.isdisjoint(_TEXT_KEYS)


def role_of(name: str) -> str:
    """The role that a file calls by this name; the name itself if it is not known."""
    return _ROLES.get(name.strip().lower(), name)


def role_and_text(message: object, left_out: dict[str, int]) -> tuple[str, str]:
    """Who says a message, and what.

    Of a list of parts the texts are taken, and the others counted in `left_out`.

    Raises:
        ValueError: it cannot be read as a message; the text is the reason.
    """
    if not isinstance(message, dict):
        raise ValueError("with a message that is no object")
    if len(message) == 2:  # nearly all that there are
        known, said = _ROLES.get(str(message.get("role"))), message.get("content")
        if known is not None and isinstance(said, str):
            return known, said
    if not any(key in message for key in _ROLE_KEYS):
        message = {str(key).strip().lower(): value for key, value in message.items()}
    role = next((message[key] for key in _ROLE_KEYS if key in message), None)
    if isinstance(role, dict):  # as ChatGPT exports it
        role = role.get("role")
    if not isinstance(role, str):
        raise ValueError("with a message without role and content as text")
    role = role_of(role)
    content = next((message[key] for key in _TEXT_KEYS if message.get(key) is not None), None)
    if role == ASSISTANT and (message.get("tool_calls") or message.get("function_call")):
        role = TOOL
    if isinstance(content, list) and any(map(_is_of_tool, content)):
        role = TOOL
    if content is None and role == TOOL:
        return role, ""
    return role, _text_of(content, left_out)


def _is_of_tool(part: object) -> bool:
    """Whether a part of a message calls a tool or gives its result (Anthropic, Gemini)."""
    if not isinstance(part, dict):
        return False
    return str(part.get("type")).lower() in _TOOL_PARTS or any(
        key.lower() in _TOOL_PARTS for key in part if isinstance(key, str)
    )


def _text_of(content: Any, left_out: dict[str, int]) -> str:
    if isinstance(content, dict):
        content = content.get("parts", content.get("text"))
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise ValueError("with a message without role and content as text")
    texts = []
    for part in content:
        text = part.get("text") if isinstance(part, dict) else part
        if isinstance(text, str):
            texts.append(text)
        else:
            left_out["part that is no text"] += 1
    return "\n\n".join(texts)
