"""What is asked of the scheduler, one text each, and the pieces in which the text comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from vidya.generation.generator import Likeliest
from vidya.generation.sampling_settings import SamplingSettings

Ending: TypeAlias = Literal["stop", "length", "failed", "shutdown"]
"""Why a text ended: the model or a stop string, the most tokens, an error, the server's end."""


@dataclass(frozen=True, eq=False, kw_only=True)
class WritingJob:
    """One text that is asked for."""

    prompt: list[int]
    """At least one id."""
    sampling: SamplingSettings
    number: int = 0
    """Of the random stream of the seed that the text draws from."""
    max_tokens: int
    """After which it is cut off; 0 where only the prompt is to be scored."""
    chat: bool
    """Whether it is a reply: stripped, and not ended before it has said anything."""
    stop: tuple[str, ...] = ()
    """Texts that end it and are no part of it."""
    best: int | None = None
    """How many of the likeliest tokens to tell at each place; None: no log-probabilities at all."""
    score_prompt: bool = False
    """Whether to tell the log-probabilities of the prompt's tokens, too."""


@dataclass(frozen=True)
class WrittenToken:
    """A token with what the model made of it."""

    id: int
    logprob: float
    """Natural logarithm of the probability that the model gave it, at temperature 1."""
    best: Likeliest = ()
    """The likeliest tokens at its place."""
    at: int = 0
    """Characters of the text that stand before it."""


@dataclass(frozen=True)
class Piece:
    """What is new of a text."""

    text: str = ""
    tokens: tuple[WrittenToken, ...] = ()
    """The tokens of `text`, where log-probabilities are wanted."""
    end: Ending | None = None
    """Why the text ends with this piece."""
    drawn: int = 0
    """Tokens drawn so far, that which ended the text included."""
    prompt_scores: tuple[WrittenToken, ...] = ()
    """The prompt's tokens but the first, where they are wanted; they come before all text."""
    error: str = ""
    """What went wrong, with the end `failed`."""
