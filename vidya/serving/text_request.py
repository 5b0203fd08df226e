"""What a request for texts asks, whichever of the two formats it came in."""

from __future__ import annotations

from dataclasses import dataclass, field

from vidya.serving.writing_job import WritingJob


@dataclass(frozen=True, kw_only=True)
class TextRequest:
    """A request that was understood."""

    jobs: list[WritingJob]
    """One for each text, in the order of their numbers in the reply."""
    prompt_tokens: int
    """Of all prompts, each counted once."""
    stream: bool
    """Whether to send pieces as they come."""
    include_usage: bool
    """Whether a stream is to end with a chunk that counts tokens."""
    logprobs: bool
    """Whether to tell log-probabilities."""
    echo: bool = False
    """Whether texts begin with their prompts."""
    prompts: list[tuple[str, list[int]]] = field(default_factory=list)
    """Of each job the prompt's text and where its tokens begin in it, where that is told."""


@dataclass(frozen=True)
class Answer:
    """What all parts of one answer have in common."""

    id: str
    created: int
    """Seconds since 1970."""
    model: str


def usage(prompt_tokens: int, written: int) -> dict[str, int]:
    """The count of tokens in a reply."""
    return {
        "prompt_tokens": prompt_tokens, "completion_tokens": written,
        "total_tokens": prompt_tokens + written,
    }  # fmt: skip
