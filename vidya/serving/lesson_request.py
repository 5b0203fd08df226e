"""What requests ask of teaching: how candidates are drawn, and which choice is a lesson."""

from __future__ import annotations

from typing import Any

from vidya.errors import UserError
from vidya.posttraining.teaching.options import TeachOptions
from vidya.serving.api_error import bad_request
from vidya.serving.openai_chat import SCHEMA as CHAT
from vidya.serving.request_fields import SAMPLING, NumberField, flag_of, text_of

MOST_CANDIDATES = 9
"""That one question may have: each is picked by a digit."""
FIELDS = (
    NumberField("n", "Candidates to write.", 1, MOST_CANDIDATES, TeachOptions.n, whole=True),
    NumberField("max_tokens", "Tokens after which a candidate is cut off.", 1, 4096,
                TeachOptions.max_tokens, whole=True),
    *(field for field in SAMPLING if field.name in ("temperature", "top_k")),
)  # fmt: skip
PICK = NumberField("pick", "The candidate that is right, from 1.", 1, MOST_CANDIDATES, whole=True)
_TEACHER = {
    "type": ["string", "null"],
    "maxLength": 64,
    "description": "Who teaches.",
}
_MESSAGES = CHAT["properties"]["messages"]
CANDIDATES_SCHEMA: dict[str, Any] = {
    "type": "object", "required": ["messages"],
    "properties": {
        "messages": _MESSAGES, "teacher": _TEACHER,
        "stream": {"type": ["boolean", "null"], "default": False},
        **{field.name: field.schema() for field in FIELDS},
    },
}  # fmt: skip
LESSON_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "One of pick, answer and reject; messages and an answer, or a question's name.",
    "properties": {
        "question": {"type": ["string", "null"], "description": "As candidates named it."},
        "messages": _MESSAGES, "teacher": _TEACHER, PICK.name: PICK.schema(),
        "answer": {"type": ["string", "null"], "description": "The right answer."},
        "reject": {"type": ["boolean", "null"], "description": "No candidate is right."},
    },
}  # fmt: skip
TEACHER_SCHEMA: dict[str, Any] = {"type": "object", "properties": {"teacher": _TEACHER}}


def candidate_options(body: dict[str, Any]) -> TeachOptions:
    """How candidates are to be drawn; `ApiError` 400 for what makes no sense."""
    values = {field.name: field.read(body) for field in FIELDS}
    values["top_k"] = max(0, values["top_k"])
    try:
        options = TeachOptions(**values)
        options.check()
    except UserError as error:
        raise bad_request(str(error)) from error
    return options


def choice_of(body: dict[str, Any]) -> tuple[int | None, str | None]:
    """The pick (0: all are rejected) or the answer of a lesson; `ApiError` 400 if not one of them.

    An answer that the teacher typed is taken without the space around it.
    """
    pick, reject, answer = PICK.read(body), flag_of(body, "reject"), body.get("answer")
    if (pick is not None) + reject + (answer is not None) != 1:
        raise bad_request("a lesson has one of pick, answer and reject")
    if answer is None:
        return (0 if reject else pick), None
    answer = text_of(answer, "answer").strip()
    if not answer:
        raise bad_request("the answer is empty: reject says that no candidate is right", "answer")
    return None, answer
