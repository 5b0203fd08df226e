"""The model that is served: what requests ask of it before a text is begun."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vidya.serving.api_error import ApiError
from vidya.serving.request_fields import text_of
from vidya.text.conversation_format import LINE_BREAK
from vidya.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class ServedModel:
    """A model by name, with what a request needs to know of it."""

    name: str
    tokenizer: Tokenizer
    window: int
    """Tokens that it sees at a time."""
    created: int
    """When its checkpoint was written, in seconds since 1970."""

    def require(self, body: dict[str, Any]) -> None:
        """`ApiError` 404 if a request names another model."""
        name = body.get("model")
        if name is not None and text_of(name, "model") not in ("", self.name):
            raise self.not_found(name)

    def not_found(self, name: str) -> ApiError:
        """The error for a name that is none of a model."""
        return ApiError(
            404, f"there is no model {name[:80]!r} here: use {self.name!r}", param="model",
            code="model_not_found",
        )  # fmt: skip

    def described(self) -> dict[str, Any]:
        """What `/v1/models` says of it."""
        return {
            "id": self.name, "object": "model", "created": self.created, "owned_by": "vidya",
            "context_window": self.window,
        }  # fmt: skip

    def token_bytes(self, token: int) -> bytes:
        """The bytes of a token as texts show it: `↵` is a line break."""
        raw = self.tokenizer.decode_bytes([token])
        return raw.replace(LINE_BREAK.encode(), b"\n")
