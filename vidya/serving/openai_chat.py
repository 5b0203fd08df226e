"""`/v1/chat/completions`: from a conversation to a job for each reply, and replies as objects.

A system message is a paragraph before what the user says next, as in the chat template of an
export: vidya's corpora have no such turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vidya.generation.chat_tokens import chat_prompt
from vidya.serving.api_error import bad_request
from vidya.serving.request_fields import (
    COUNT,
    ENDLESS,
    MOST_TOKENS,
    SAMPLING,
    STOP_SCHEMA,
    STREAM_OPTIONS_SCHEMA,
    NumberField,
    flag_of,
    include_usage_of,
    max_tokens_of,
    sampling_of,
    shown,
    stop_of,
    text_of,
)
from vidya.serving.served_model import ServedModel
from vidya.serving.text_request import Answer, TextRequest
from vidya.serving.writing_job import Ending, WritingJob, WrittenToken

ROLES = ("system", "developer", "user", "assistant")
MAX_COMPLETION_TOKENS = NumberField(
    "max_completion_tokens",
    f"Tokens of a reply at most; -1, or more than {MOST_TOKENS}, count as those.",
    1, 2**63, whole=True, besides=ENDLESS,
)  # fmt: skip
MAX_TOKENS = NumberField(
    "max_tokens", "The same; the other one counts where both are there.", 1, 2**63, 200,
    whole=True, besides=ENDLESS,
)  # fmt: skip
TOP_LOGPROBS = NumberField(
    "top_logprobs", "How many of the likeliest tokens to tell at each place, with logprobs.",
    0, 20, whole=True,
)  # fmt: skip
TEXT_PARTS = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "array",
            "items": {
                "type": "object", "required": ["type", "text"],
                "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
            },
        },
    ]
}  # fmt: skip
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["messages"],
    "properties": {
        "model": {"type": ["string", "null"], "description": "As in /v1/models; may be missing."},
        "messages": {
            "type": "array", "minItems": 1,
            "description": "What was said, the user's first and last.",
            "items": {
                "type": "object", "required": ["role", "content"],
                "properties": {"role": {"enum": list(ROLES)}, "content": TEXT_PARTS},
            },
        },
        "stream": {"type": ["boolean", "null"], "default": False},
        "stream_options": STREAM_OPTIONS_SCHEMA,
        "stop": STOP_SCHEMA,
        "logprobs": {"type": ["boolean", "null"], "default": False},
        **{
            field.name: field.schema()
            for field in (*SAMPLING, COUNT, MAX_COMPLETION_TOKENS, MAX_TOKENS, TOP_LOGPROBS)
        },
    },
}  # fmt: skip


def chat_request(body: dict[str, Any], model: ServedModel, random_seed: int) -> TextRequest:
    """What a request asks; `ApiError` says what is wrong with it."""
    model.require(body)
    turns = turns_of(body.get("messages"))
    sampling, count = sampling_of(body, random_seed), COUNT.read(body)
    max_tokens = max_tokens_of(body, (MAX_COMPLETION_TOKENS, MAX_TOKENS))
    logprobs, best = flag_of(body, "logprobs"), TOP_LOGPROBS.read(body)
    if best and not logprobs:
        raise bad_request("top_logprobs needs logprobs: true", "top_logprobs")
    stop, stream = stop_of(body), flag_of(body, "stream")
    include_usage = include_usage_of(body, stream)
    room = min(max_tokens, model.window // 4)  # beyond which a reply pushes out what is before it
    prompt = chat_prompt(model.tokenizer, turns, model.window - room)
    jobs = [
        WritingJob(
            prompt=prompt, sampling=sampling, number=number, max_tokens=max_tokens, chat=True,
            stop=stop, best=(best or 0) if logprobs else None,
        )
        for number in range(count)
    ]  # fmt: skip
    return TextRequest(
        jobs=jobs, prompt_tokens=len(prompt), stream=stream, include_usage=include_usage,
        logprobs=logprobs,
    )  # fmt: skip


def turns_of(messages: Any) -> list[str]:
    """The turns of a conversation, the user's first and last.

    What one says in several messages in a row becomes paragraphs of one turn, and so does a system
    message, of what the user says next or, after the last of that, has said.
    """
    if not isinstance(messages, list) or not messages:
        raise bad_request("messages must be a list of at least one message", "messages")
    turns: list[list[str]] = []
    system: list[str] = []
    for number, message in enumerate(messages):
        role, text = _role_and_text(message, f"messages[{number}]")
        if role in ("system", "developer"):
            system.append(text)
            continue
        is_user = role == "user"
        if not is_user and not turns:
            raise bad_request("the first message must be the user's", "messages")
        if is_user != (len(turns) % 2 == 1):
            turns.append([])
        if is_user:
            turns[-1].extend(system)
            system.clear()
        turns[-1].append(text)
    if system:
        if len(turns) % 2 == 0:
            turns.append([])
        turns[-1].extend(system)
    if len(turns) % 2 == 0:
        raise bad_request("the last message must be the user's, not the assistant's", "messages")
    if not any(text.strip() for text in turns[-1]):
        raise bad_request("the last message is empty: say something", "messages")
    return ["\n\n".join(texts) for texts in turns]


def _role_and_text(message: Any, where: str) -> tuple[str, str]:
    if not isinstance(message, dict):
        raise bad_request(f"{where} must be an object, not {shown(message)}", where)
    role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        raise bad_request(
            f"{where}.role must be one of {', '.join(ROLES)}, not {shown(role)}", f"{where}.role"
        )
    where = f"{where}.content"
    if content is None and role == "assistant":
        return role, ""
    if not isinstance(content, list):
        return role, text_of(content, where)
    texts = []
    for part in content:
        if not isinstance(part, dict) or part.get("type") != "text":
            raise bad_request(f"{where} may have parts of type text alone", where)
        texts.append(text_of(part.get("text"), where))
    return role, "\n".join(texts)


# ---------------------------------------------------------------- replies


def chat_reply(
    answer: Answer, texts: Sequence[str], tokens: Sequence[Sequence[WrittenToken]],
    ends: Sequence[Ending | None], request: TextRequest, model: ServedModel, counted: Any,
) -> dict[str, Any]:  # fmt: skip
    """The whole reply to a request."""
    choices = [
        {
            "index": number, "message": {"role": "assistant", "content": text, "refusal": None},
            "logprobs": _logprobs(model, some) if request.logprobs else None,
            "finish_reason": end,
        }
        for number, (text, some, end) in enumerate(zip(texts, tokens, ends, strict=True))
    ]  # fmt: skip
    return {**_head(answer, "chat.completion"), "choices": choices, "usage": counted}


def chat_chunk(
    answer: Answer, number: int, text: str | None, tokens: Sequence[WrittenToken],
    end: Ending | None, request: TextRequest, model: ServedModel,
) -> dict[str, Any]:  # fmt: skip
    """A piece of one of the texts; `text` is None for the first, which tells whose it is."""
    delta: dict[str, Any] = {"content": text} if text else {}
    if text is None:
        delta = {"role": "assistant", "content": ""}
    choice = {
        "index": number, "delta": delta,
        "logprobs": _logprobs(model, tokens) if request.logprobs and tokens else None,
        "finish_reason": end,
    }  # fmt: skip
    return {**_head(answer, "chat.completion.chunk"), "choices": [choice]}


def chat_usage_chunk(answer: Answer, counted: dict[str, int]) -> dict[str, Any]:
    """The last chunk of a stream, if it was asked for."""
    return {**_head(answer, "chat.completion.chunk"), "choices": [], "usage": counted}


def _head(answer: Answer, kind: str) -> dict[str, Any]:
    return {"id": answer.id, "object": kind, "created": answer.created, "model": answer.model}


def _logprobs(model: ServedModel, tokens: Sequence[WrittenToken]) -> dict[str, Any]:
    content = [
        {
            **_token(model, token.id, token.logprob),
            "top_logprobs": [_token(model, one, logprob) for one, logprob in token.best],
        }
        for token in tokens
    ]
    return {"content": content, "refusal": None}


def _token(model: ServedModel, token: int, logprob: float) -> dict[str, Any]:
    raw = model.token_bytes(token)
    return {"token": raw.decode("utf-8", "replace"), "logprob": logprob, "bytes": list(raw)}
