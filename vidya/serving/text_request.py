"""What a request for texts asks, whichever of the two formats it came in."""

from __future__ import annotations

from dataclasses import dataclass, field

from vidya.serving.api_error import bad_request
from vidya.serving.writing_job import WritingJob

MOST_LOGPROBS = 200_000
"""Log-probabilities in one answer: the answer takes some 800 bytes of memory for each."""


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

    def check_size(self) -> None:
        """Raise `ApiError` 400 if the answer may have more log-probabilities than there is room."""
        count = sum(
            (job.max_tokens + len(job.prompt) * job.score_prompt) * (1 + job.best)
            for job in self.jobs
            if job.best is not None
        )
        if count > MOST_LOGPROBS:
            raise bad_request(
                f"the answer may have {MOST_LOGPROBS:,} log-probabilities at most, not {count:,}: "
                "ask for fewer texts, tokens or likeliest tokens", "logprobs",
            )  # fmt: skip


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
