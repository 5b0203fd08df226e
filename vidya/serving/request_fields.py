"""The fields of a request, each declared once: how it is checked, and what OpenAPI says of it.

A field that is null is as one that is missing. Fields that are not known are ignored.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from vidya.errors import UserError
from vidya.generation.sampling_settings import SamplingSettings
from vidya.serving.api_error import bad_request

MOST_TOKENS = 4096
"""Tokens of a text at most: who asks for more gets no more."""
ENDLESS = -1
"""As the most tokens of a text: as many as there may be. llama.cpp's clients send it."""
MOST_TEXTS = 16
"""Texts that one request may ask for."""
MOST_STOPS = 16
LONGEST_STOP = 256


@dataclass(frozen=True)
class NumberField:
    """A field that holds a number, or nothing."""

    name: str
    what: str
    least: float
    most: float
    default: float | None = None
    whole: bool = False
    besides: int | None = None
    """A number below the least that is allowed, too, for it means something of its own."""

    def read(self, body: dict[str, Any]) -> Any:
        """The number, or the default; `ApiError` 400 for anything else."""
        value = body.get(self.name)
        if value is None:
            return self.default
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if number and self.whole and isinstance(value, float) and value.is_integer():
            value = int(value)
        if not number or (self.whole and not isinstance(value, int)):
            kind = "a whole number" if self.whole else "a number"
            raise bad_request(f"{self.name} must be {kind}, not {shown(value)}", self.name)
        if not self.least <= value <= self.most and value != self.besides:
            raise bad_request(
                f"{self.name} must lie between {self.least} and {self.most}, not {shown(value)}",
                self.name,
            )
        return value

    def schema(self) -> dict[str, Any]:
        """What OpenAPI says of it."""
        kind = "integer" if self.whole else "number"
        limits = {"minimum": self.least, "maximum": self.most}
        said: dict[str, Any] = {"type": [kind, "null"], "description": self.what, **limits}
        if self.besides is not None:
            del said["minimum"], said["maximum"]
            said["anyOf"] = [limits, {"const": self.besides}, {"type": "null"}]
        return said if self.default is None else {**said, "default": self.default}


SAMPLING = (
    NumberField("temperature", "Below 1 likely tokens become likelier; 0 takes the likeliest.",
                0, 100, SamplingSettings.temperature),
    NumberField("top_p", "Draw from the fewest likeliest tokens with this share together.", 0, 1,
                SamplingSettings.top_p),
    NumberField("top_k", "Draw from so many of the likeliest tokens; 0 or -1: from all.",
                -1, 2**31, SamplingSettings.top_k, whole=True),
    NumberField("min_p", "Draw from tokens at least so many times as likely as the likeliest.",
                0, 1, SamplingSettings.min_p),
    NumberField("repetition_penalty", "Above 1, tokens that came lately become less likely.",
                0.01, 100, SamplingSettings.repetition_penalty),
    NumberField("seed", "The same seed gives the same texts; without one each is another.",
                -(2**63), 2**64 - 1, whole=True),
)  # fmt: skip
COUNT = NumberField("n", "How many texts to write.", 1, MOST_TEXTS, 1, whole=True)
STREAM_OPTIONS_SCHEMA = {
    "description": "Of a stream; without one it changes nothing.",
    "type": ["object", "null"],
    "properties": {
        "include_usage": {
            "type": ["boolean", "null"], "default": False,
            "description": "Whether a last chunk counts tokens.",
        },
    },
}  # fmt: skip
STOP_SCHEMA = {
    "description": "Texts that end the reply and are no part of it, also across tokens.",
    "anyOf": [
        {"type": "null"},
        {"type": "string", "minLength": 1, "maxLength": LONGEST_STOP},
        {
            "type": "array", "maxItems": MOST_STOPS,
            "items": {"type": "string", "minLength": 1, "maxLength": LONGEST_STOP},
        },
    ],
}  # fmt: skip


def sampling_of(body: dict[str, Any], random_seed: int) -> SamplingSettings:
    """How a request wants its tokens drawn; `random_seed` is for one without a seed."""
    values = {field.name: field.read(body) for field in SAMPLING}
    seed = random_seed if values["seed"] is None else values["seed"] % 2**64
    try:
        return SamplingSettings(
            temperature=float(values["temperature"]),
            top_k=max(0, values["top_k"]),
            seed=seed,
            top_p=max(float(values["top_p"]), 1e-9),  # 0: the likeliest alone
            min_p=float(values["min_p"]),
            repetition_penalty=float(values["repetition_penalty"]),
        )
    except UserError as error:
        raise bad_request(str(error)) from error


def max_tokens_of(body: dict[str, Any], fields: Iterable[NumberField]) -> int:
    """The most tokens of a text, told by the first of the fields that is there."""
    found = [field.read(body) for field in fields]
    asked = next(int(value) for value in found if value is not None)
    return MOST_TOKENS if asked == ENDLESS else min(MOST_TOKENS, asked)


def stop_of(body: dict[str, Any]) -> tuple[str, ...]:
    """The stop strings of a request."""
    value = body.get("stop")
    if value is None:
        return ()
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or len(stops) > MOST_STOPS:
        raise bad_request(f"stop must be a text or a list of up to {MOST_STOPS} texts", "stop")
    for one in stops:
        if not 1 <= len(text_of(one, "stop")) <= LONGEST_STOP:
            raise bad_request(f"a stop text must have 1 to {LONGEST_STOP} characters", "stop")
    return tuple(stops)


def flag_of(body: dict[str, Any], name: str, *, within: str = "") -> bool:
    """A field that is true or false, by default false."""
    value = body.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise bad_request(f"{name} must be true or false, not {shown(value)}", within or name)
    return value


def include_usage_of(body: dict[str, Any], stream: bool) -> bool:
    """Whether a stream is to end with a chunk that counts tokens; without a stream: no."""
    options = body.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict):
        raise bad_request("stream_options must be an object", "stream_options")
    return flag_of(options, "include_usage", within="stream_options") and stream


def text_of(value: Any, name: str) -> str:
    """A text that can be encoded; `ApiError` 400 for anything else."""
    if not isinstance(value, str):
        raise bad_request(f"{name} must be a text, not {shown(value)}", name)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise bad_request(f"{name} has half a surrogate pair, which is no text", name) from None
    return value


def shown(value: Any) -> str:
    """A value for one line of an error, shortened."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
