"""Conversations written out as text: ChatML, Llama, `User: … Assistant: …` and the like."""

from __future__ import annotations

import re

from vidya.user_files.message_fields import ASSISTANT, SYSTEM, USER, Messages, role_of

_TAGGED = {
    "ChatML": re.compile(
        r"<\|im_start\|>[ \t]*(\w+)[ \t]*\n?(.*?)(?:<\|im_end\|>|(?=<\|im_start\|>)|\Z)", re.S
    ),
    "Llama 3": re.compile(
        r"<\|start_header_id\|>[ \t]*(\w+)[ \t]*<\|end_header_id\|>(.*?)"
        r"(?:<\|eot_id\|>|<\|eom_id\|>|(?=<\|start_header_id\|>)|\Z)",
        re.S,
    ),
    "Gemma": re.compile(
        r"<start_of_turn>[ \t]*(\w+)[ \t]*\n?(.*?)(?:<end_of_turn>|(?=<start_of_turn>)|\Z)", re.S
    ),
    "<|user|>": re.compile(
        r"<\|(system|user|assistant|prompter|human|bot)\|>(.*?)"
        r"(?=<\|(?:system|user|assistant|prompter|human|bot)\|>|\Z)",
        re.S,
    ),
}
"""Marks around each turn, with the turn's role and its text."""
_LLAMA2 = re.compile(r"\[INST\](.*?)\[/INST\](.*?)(?=(?:<s>)?\s*\[INST\]|\Z)", re.S)
_LLAMA2_SYSTEM = re.compile(r"\s*<<SYS>>(.*?)<</SYS>>", re.S)
_ENDS = re.compile(r"</s>|<s>|<\|endoftext\|>|<\|end_of_text\|>|<\|begin_of_text\|>|<\|end\|>"
                   r"|<\|bos\|>|<bos>|<eos>")  # fmt: skip
_LAST_MARKS = (":", ":**", "]", ">", "assistant", "model", "response", "answer")
"""How a text can end of which the assistant's turn is to follow."""
_TURN_ENDS = re.compile(r"<\|im_end\|>|<\|eot_id\|>|<\|eom_id\|>|<end_of_turn>")
_LABELS = {
    **dict.fromkeys(
        ["user", "human", "me", "you", "person", "customer", "question", "q", "instruction",
         "prompt", "input"],
        USER,
    ),
    **dict.fromkeys(
        ["assistant", "bot", "ai", "chatbot", "gpt", "chatgpt", "model", "answer", "a", "response",
         "agent", "claude"],
        ASSISTANT,
    ),
    "system": SYSTEM,
}  # fmt: skip
_NAMES = "|".join(_LABELS)
_AT_LINES = re.compile(
    rf"^[ \t]*(?:###[ \t]*)?(?:\*\*)?({_NAMES})(?:\*\*)?[ \t]*:(?:\*\*)?[ \t]?"
    rf"|^###[ \t]*({_NAMES})[ \t]*$",
    re.I | re.M,
)
_WITHIN_LINES = re.compile(rf"###[ \t]*({_NAMES}):[ \t]?()", re.I)


def transcript_messages(text: str) -> tuple[str, Messages] | None:
    """A conversation written out: what marks its turns, and its messages; None if it is none.

    It must begin with such a mark; before `### Instruction:` may stand what a model is told.
    """
    for name, pattern in _TAGGED.items():
        first = pattern.search(text)
        if first and not _without_ends(text[: first.start()]):
            found = pattern.findall(text)
            return name, [(role_of(role), _without_ends(said)) for role, said in found]
    if "[/INST]" in text and not _without_ends(text[: text.find("[INST]")]):
        return "[INST]", _llama2(text)
    return _labelled(text, _AT_LINES) or _labelled(text, _WITHIN_LINES)


def open_transcript(text: str, answer: str) -> tuple[str, Messages] | None:
    """`transcript_messages` of a text that ends where the assistant's `answer` begins.

    None for any other text: what a person asks about turns is a question.
    """
    if not text.rstrip().lower().endswith(_LAST_MARKS):  # nearly all, at once
        return None
    found = transcript_messages(text)
    if found is None or not found[1]:
        return None
    name, messages = found
    role, said = messages[-1]
    if role == ASSISTANT and not said:
        messages = messages[:-1]
    elif name != "[INST]" or role != USER:
        return None
    return name, [*messages, (ASSISTANT, _without_ends(_TURN_ENDS.sub("", answer)))]


def _without_ends(text: str) -> str:
    return _ENDS.sub("", text).strip()


def _llama2(text: str) -> Messages:
    messages: Messages = []
    for asked, said in _LLAMA2.findall(text):
        system = _LLAMA2_SYSTEM.match(asked)
        if system:
            messages.append((SYSTEM, system[1].strip()))
            asked = asked[system.end() :]
        messages.append((USER, asked.strip()))
        if said := _without_ends(said):
            messages.append((ASSISTANT, said))
    return messages


def _labelled(text: str, pattern: re.Pattern[str]) -> tuple[str, Messages] | None:
    """Turns behind labels, of which the user and the assistant have one each at least."""
    marks = list(pattern.finditer(text))
    roles = [_LABELS[(mark[1] or mark[2]).lower()] for mark in marks]
    if not {USER, ASSISTANT} <= set(roles):
        return None
    before = _without_ends(text[: marks[0].start()])
    if before and "###" not in marks[0][0]:
        return None
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    said = [_without_ends(text[mark.end() : end]) for mark, end in zip(marks, ends, strict=True)]
    messages = list(zip(roles, said, strict=True))
    return marks[0][0].strip(), [(SYSTEM, before), *messages] if before else messages
