"""The server's description for programs (OpenAPI 3.1), made of what checks the requests."""

from __future__ import annotations

from typing import Any

import vidya
from vidya.serving import openai_chat, openai_completions
from vidya.serving.lesson_request import CANDIDATES_SCHEMA, LESSON_SCHEMA, TEACHER_SCHEMA

_JSON = "application/json"
_ERROR = {
    "type": "object", "required": ["error"],
    "properties": {
        "error": {
            "type": "object", "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"}, "type": {"type": "string"},
                "param": {"type": ["string", "null"]}, "code": {"type": ["string", "null"]},
            },
        },
    },
}  # fmt: skip
_EVENT = {
    "type": "object", "required": ["data"],
    "properties": {"data": {"type": "string", "description": "JSON, or at last [DONE]."}},
}  # fmt: skip
_WRONG = {
    400: "It makes no sense; the error says why.", 401: "A key is needed.",
    403: "Pages of other sites may not ask.", 404: "There is no such model.",
    413: "The body is too long.", 429: "Too many requests wait: see Retry-After.",
    500: "It could not be written.", 503: "The server is shutting down.",
}  # fmt: skip
_NOT_TAUGHT = {
    409: "Somebody else teaches, or the run cannot be taught as it is now.",
    415: "The body must say that it is JSON.",
}


def openapi_document() -> dict[str, Any]:
    """The whole document."""
    model = {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "vidya", "version": vidya.__version__,
                 "description": "A chat model over HTTP. Unknown fields are ignored."},
        "components": {
            "schemas": {"Error": _ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
        "paths": {
            "/v1/models": {"get": _get("The model that is served, as a list.", _JSON, 401, 403)},
            "/v1/models/{model}": {
                "parameters": [model],
                "get": _get("One model.", _JSON, 401, 403, 404),
            },
            "/v1/chat/completions": {
                "post": _post("The next reply in a conversation.", openai_chat.SCHEMA)
            },
            "/v1/completions": {
                "post": _post("Texts that go on with prompts.", openai_completions.SCHEMA)
            },
            "/health": {"get": _get("Whether the server works; needs no key.", _JSON, 403, 503)},
            "/metrics": {"get": _get("Counters for Prometheus.", "text/plain", 401, 403)},
            "/v1/vidya/candidates": {
                "post": _post("Answers to choose among.", CANDIDATES_SCHEMA, *_NOT_TAUGHT)
            },
            "/v1/vidya/lessons": {
                "post": _post("A choice, which is learnt.", LESSON_SCHEMA, *_NOT_TAUGHT)
            },
            "/v1/vidya/undo": {
                "post": _post("Take the last lesson back.", TEACHER_SCHEMA, *_NOT_TAUGHT)
            },
            "/v1/vidya/measure": {
                "post": _post("What lessons are worth.", TEACHER_SCHEMA, *_NOT_TAUGHT)
            },
            "/v1/vidya/leave": {
                "post": _post("Let others teach.", TEACHER_SCHEMA, *_NOT_TAUGHT)
            },
            "/v1/vidya/stats": {"get": _get("The lessons so far.", _JSON, 401, 403, 409)},
            "/v1/vidya/journal": {
                "get": _get("The journal of lessons.", "application/jsonl", 401, 403, 404)
            },
            "/v1/vidya/run": {"get": _get("Curves and figures of the run.", _JSON, 401, 403)},
            "/openapi.json": {"get": _get("This document.", _JSON, 401, 403)},
        },
    }  # fmt: skip


def _get(what: str, kind: str, *wrong: int) -> dict[str, Any]:
    schema = {"type": "string"} if kind != _JSON else {"type": "object"}
    good = {"description": what, "content": {kind: {"schema": schema}}}
    return {"summary": what, "responses": {"200": good, **_errors(400, *wrong)}}


def _post(what: str, schema: dict[str, Any], *wrong: int) -> dict[str, Any]:
    good = {
        "description": "The reply; with stream: true in pieces, of which the last is [DONE].",
        "content": {
            _JSON: {"schema": {"type": "object"}},
            "text/event-stream": {"schema": _EVENT},
        },
    }
    return {
        "summary": what,
        "requestBody": {"required": True, "content": {_JSON: {"schema": schema}}},
        "responses": {"200": good, **_errors(*_WRONG, *wrong)},
    }


def _errors(*statuses: int) -> dict[str, Any]:
    schema = {"schema": {"$ref": "#/components/schemas/Error"}}
    return {
        str(status): {
            "description": {**_WRONG, **_NOT_TAUGHT}[status],
            "content": {_JSON: schema},
        }
        for status in statuses
    }
