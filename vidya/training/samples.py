"""Replies to a few fixed prompts: what a model says at this point of its training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vidya.errors import PlaceError
from vidya.generation.replies import finished_replies, reply_generator
from vidya.generation.sampling_settings import SamplingSettings
from vidya.model.transformer import Model
from vidya.system.atomic_file import atomic_write, make_own
from vidya.text.tokenizer import Tokenizer

PROMPTS = (
    "hello",
    "how are you?",
    "what do you like to do on weekends?",
    "what is your favorite food?",
    "tell me about yourself",
)
MAX_TOKENS = 40


def sample_replies(
    model: Model,
    tokenizer: Tokenizer,
    count: int,
    *,
    seed: int = 0,
    interrupted: Callable[[], bool] = lambda: False,
) -> list[tuple[str, str]]:
    """(prompt, reply) for the first `count` of the prompts, the same draw each time."""
    requests = [((prompt,), SamplingSettings(seed=seed)) for prompt in PROMPTS[:count]]
    if not requests:
        return []
    # in place: no memory beside that of the training
    generator = reply_generator(model, tokenizer, len(requests), in_place=True)
    replies = finished_replies(
        generator, tokenizer, requests, max_tokens=MAX_TOKENS, interrupted=interrupted
    )
    return [(prompt, reply.text) for ((prompt,), _), reply in zip(requests, replies, strict=True)]


def append_samples(path: Path, step: int, lines: list[str]) -> None:
    """Append a block, ended by a blank line, to the samples file.

    Raises:
        PlaceError: it cannot be written: a full disk, for example.
    """
    make_own(path)
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write("\n".join([f"step {step}", *lines]) + "\n\n")
    except OSError as error:
        raise PlaceError(
            f"cannot write {path}: {error.strerror}", "free some space", " or "
        ) from error


def truncate_samples(path: Path, step: int) -> None:
    """Drop the blocks of steps after `step`, which a run that resumes there writes again."""
    if not path.exists():
        return
    blocks = [block for block in path.read_bytes().split(b"\n\n") if block]
    kept = [block for block in blocks if _step_of(block) <= step]
    if kept == blocks:
        return
    atomic_write(path, lambda file: file.writelines(block + b"\n\n" for block in kept))


def _step_of(block: bytes) -> int:
    number = block.partition(b"\n")[0].removeprefix(b"step ")
    return int(number) if number.isdigit() else 0
