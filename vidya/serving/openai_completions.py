"""`/v1/completions`: from texts to go on with to a job for each continuation, and these as objects.

A prompt is what stands on a line of a corpus: `<|user|>` and `<|assistant|>` in it are markers, and
the `<|bos|>` that a document begins with is put before it. Ids are taken as they are.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from typing import Any

from vidya.generation.chat_tokens import corpus_line
from vidya.serving.api_error import bad_request
from vidya.serving.request_fields import (
    COUNT,
    ENDLESS,
    MOST_TEXTS,
    MOST_TOKENS,
    SAMPLING,
    STOP_SCHEMA,
    STREAM_OPTIONS_SCHEMA,
    NumberField,
    flag_of,
    include_usage_of,
    max_tokens_of,
    sampling_of,
    stop_of,
    text_of,
)
from vidya.serving.served_model import ServedModel
from vidya.serving.text_request import Answer, TextRequest
from vidya.serving.writing_job import Ending, WritingJob, WrittenToken
from vidya.text.conversation_format import BOS

MAX_TOKENS = NumberField(
    "max_tokens", f"Tokens of a text at most; -1, or more than {MOST_TOKENS}, count as those.",
    0, 2**63, 16, whole=True, besides=ENDLESS,
)  # fmt: skip
LOGPROBS = NumberField(
    "logprobs", "Tell log-probabilities, and those of so many of the likeliest tokens.",
    0, 20, whole=True,
)  # fmt: skip
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "model": {"type": ["string", "null"], "description": "As in /v1/models; may be missing."},
        "prompt": {
            "description": "A text or its tokens' ids, or a list of such.",
            "anyOf": [
                {"type": ["string", "null"]},
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
                {"type": "array", "items": {"type": "integer"}, "minItems": 1},
                {
                    "type": "array", "minItems": 1,
                    "items": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
                },
            ],
        },
        "echo": {"type": ["boolean", "null"], "default": False},
        "stream": {"type": ["boolean", "null"], "default": False},
        "stream_options": STREAM_OPTIONS_SCHEMA,
        "stop": STOP_SCHEMA,
        **{field.name: field.schema() for field in (*SAMPLING, COUNT, MAX_TOKENS, LOGPROBS)},
    },
}  # fmt: skip


def completion_request(body: dict[str, Any], model: ServedModel, random_seed: int) -> TextRequest:
    """What a request asks; `ApiError` says what is wrong with it."""
    model.require(body)
    sampling, count = sampling_of(body, random_seed), COUNT.read(body)
    max_tokens, best = max_tokens_of(body, (MAX_TOKENS,)), LOGPROBS.read(body)
    echo, stop, stream = flag_of(body, "echo"), stop_of(body), flag_of(body, "stream")
    include_usage = include_usage_of(body, stream)
    if not max_tokens and not echo:
        raise bad_request("max_tokens may be 0 with echo: true alone", "max_tokens")
    prompts = _prompts(body.get("prompt"), model)
    if len(prompts) * count > MOST_TEXTS:
        raise bad_request(
            f"prompts times n may be {MOST_TEXTS} at most, not {len(prompts) * count}", "n"
        )
    jobs = [
        WritingJob(
            prompt=ids, sampling=sampling, number=number, max_tokens=max_tokens, chat=False,
            stop=stop, best=best, score_prompt=echo and best is not None,
        )
        for ids in prompts
        for number in range(count)
    ]  # fmt: skip
    return TextRequest(
        jobs=jobs, prompt_tokens=sum(map(len, prompts)), stream=stream,
        include_usage=include_usage, logprobs=best is not None, echo=echo,
        prompts=[echoed(model, job.prompt) for job in jobs] if echo or best is not None else [],
    )  # fmt: skip


def _prompts(value: Any, model: ServedModel) -> list[list[int]]:
    """The ids of every prompt."""
    if value is None:
        value = ""
    if isinstance(value, str) or (isinstance(value, list) and value and _is_id(value[0])):
        value = [value]
    if not isinstance(value, list) or not value:
        raise bad_request("prompt must be a text, ids, or a list of such", "prompt")
    if len(value) > MOST_TEXTS:
        raise bad_request(f"prompts times n may be {MOST_TEXTS} at most, not {len(value)}", "n")
    return [_ids(one, model) for one in value]


def _ids(prompt: Any, model: ServedModel) -> list[int]:
    tokenizer = model.tokenizer
    if isinstance(prompt, list):
        if not prompt or not all(_is_id(i) and 0 <= i < tokenizer.vocab_size for i in prompt):
            raise bad_request(
                f"the ids of a prompt must lie in [0, {tokenizer.vocab_size})", "prompt"
            )
        ids = [int(i) for i in prompt]
    else:
        text = text_of(prompt, "prompt")
        line = corpus_line(tokenizer, text) if len(text.splitlines()) > 1 else text
        bos = [] if line.startswith(BOS) else [tokenizer.bos_id]
        ids = [*bos, *tokenizer.encode_marked(line)]
    if len(ids) > model.window:
        raise bad_request(
            f"the prompt has {len(ids):,} tokens, and the model sees {model.window:,} at a time",
            "prompt", "context_length_exceeded",
        )  # fmt: skip
    return ids


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# ---------------------------------------------------------------- replies


def echoed(model: ServedModel, ids: Sequence[int]) -> tuple[str, list[int]]:
    """The text of a prompt's tokens but the `<|bos|>` before it, and where in it each begins."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text, starts = "", []
    for number, token in enumerate(ids):
        starts.append(len(text))
        if number or token != model.tokenizer.bos_id:
            text += decoder.decode(model.token_bytes(token))
    return text + decoder.decode(b"", final=True), starts


def completion_choice(
    number: int, text: str, tokens: Sequence[WrittenToken], end: Ending | None,
    request: TextRequest, model: ServedModel, *, prompt_scores: Sequence[WrittenToken] | None,
) -> dict[str, Any]:  # fmt: skip
    """One of the texts, or a piece of it; the prompt's scores come with that which begins it."""
    job = request.jobs[number]
    before, starts = request.prompts[number] if request.prompts else ("", [])
    logprobs = None
    if request.logprobs:
        logprobs = _no_logprobs()
        if prompt_scores is not None and request.echo:
            first = int(job.prompt[0] == model.tokenizer.bos_id)
            if not first:
                _add(logprobs, model, [WrittenToken(job.prompt[0], 0.0)], [0], known=False)
            _add(logprobs, model, prompt_scores, starts[1:])
        _add(logprobs, model, tokens, [len(before) + token.at for token in tokens])
    begins = request.echo and prompt_scores is not None
    return {
        "index": number, "text": before + text if begins else text, "logprobs": logprobs,
        "finish_reason": end,
    }  # fmt: skip


def completion_object(
    answer: Answer, choices: list[dict[str, Any]], counted: dict[str, int] | None
) -> dict[str, Any]:
    """A reply, or a chunk of a stream, which is of the same kind here."""
    head = {"id": answer.id, "object": "text_completion", "created": answer.created,
            "model": answer.model, "choices": choices}  # fmt: skip
    return head if counted is None else {**head, "usage": counted}


def _no_logprobs() -> dict[str, list[Any]]:
    return {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}


def _add(
    logprobs: dict[str, list[Any]], model: ServedModel, tokens: Iterable[WrittenToken],
    starts: Iterable[int], *, known: bool = True,
) -> None:  # fmt: skip
    for token, start in zip(tokens, starts, strict=True):
        best: dict[str, float] = {}
        for i, logprob in token.best:
            best.setdefault(_name(model, i), logprob)
        logprobs["tokens"].append(_name(model, token.id))
        logprobs["token_logprobs"].append(token.logprob if known else None)
        logprobs["top_logprobs"].append(best if known else None)
        logprobs["text_offset"].append(start)


def _name(model: ServedModel, token: int) -> str:
    r"""A token's text; of bytes that are none alone `bytes:\xe2\x80`, as OpenAI writes it."""
    raw = model.token_bytes(token)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw)
