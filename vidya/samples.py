"""Replies to a few fixed prompts: what a model says at this point of its training.

`write_replies` answers many prompts together, each with settings of its own; sampling while
training, `vidya.sample` and `vidya.eval` share it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from vidya.atomic import atomic_write
from vidya.conversation import chat_prompt, stream_text
from vidya.errors import UserError
from vidya.sampling import Sampling
from vidya.tokenizer import Tokenizer

if TYPE_CHECKING:
    from vidya.generate import Generator
    from vidya.model import Model

PROMPTS = (
    "hello",
    "how are you?",
    "what do you like to do on weekends?",
    "what is your favorite food?",
    "tell me about yourself",
)
TEMPERATURES = (0.3, 0.5, 0.8)
"""Those of the inference test (`vidya.sample`)."""
MAX_TOKENS = 40
MOST_TOGETHER = 16
"""Replies that are written at one time: they share every reading of the weights."""


@dataclass
class Reply:
    """A reply to a prompt."""

    prompt: str
    sampling: Sampling
    text: str = ""
    """Without the space around it."""
    tokens: int = 0
    """Drawn for it, the marker that ended it included."""
    ended: bool = False
    """Whether the model ended it; else it was cut off."""
    ids: list[int] = field(default_factory=list, repr=False)


def write_replies(
    generator: Generator,
    tokenizer: Tokenizer,
    prompts: Sequence[tuple[str, Sampling]],
    *,
    max_tokens: int,
    interrupted: Callable[[], bool] = lambda: False,
    on_token: Callable[[], None] = lambda: None,
) -> list[Reply]:
    """Reply to prompts, as many at one time as the generator has slots.

    The i-th draws from stream i of its seed (`Sampling.rng`), so it does not depend on what
    the others say or how many fit at one time.

    Args:
        generator: the model, no sequence in it.
        tokenizer: the model's.
        prompts: what the user says, a conversation of one message each, and how to reply.
        max_tokens: after which a reply is cut off.
        interrupted: looked at between steps; what has been written by then is returned.
        on_token: called for each token that was drawn.
    """
    # A long message gives up its beginning, a long reply pushes out what stands before it.
    limit = generator.window - min(max_tokens, generator.window // 4)
    replies = [Reply(text, sampling) for text, sampling in prompts]
    waiting = list(enumerate(replies))[::-1]
    writing: dict[int, Reply] = {}  # by slot
    try:
        while (waiting or writing) and not interrupted():
            while waiting and len(writing) < generator.decoder.slots:
                number, reply = waiting.pop()
                ids = chat_prompt(tokenizer, [reply.prompt], limit)
                slot = generator.add(ids, reply.sampling, rng=reply.sampling.rng(number))
                writing[slot] = reply
            for token in generator.step():
                reply = writing[token.sequence]
                reply.tokens += 1
                reply.ended = token.id in tokenizer.special_ids
                if not reply.ended:
                    reply.ids.append(token.id)
                if reply.ended or reply.tokens == max_tokens:
                    generator.remove(token.sequence)
                    del writing[token.sequence]
                on_token()
    finally:
        for slot in writing:
            generator.remove(slot)
    for reply in replies:
        reply.text = "".join(stream_text(tokenizer, reply.ids))
    return replies


def sample_replies(
    model: Model,
    tokenizer: Tokenizer,
    count: int,
    *,
    seed: int = 0,
    interrupted: Callable[[], bool] = lambda: False,
) -> list[tuple[str, str]]:
    """(prompt, reply) for the first `count` of the prompts, the same draw each time."""
    from vidya.generate import Generator

    prompts = [(prompt, Sampling(seed=seed)) for prompt in PROMPTS[:count]]
    if not prompts:
        return []
    generator = Generator(model, slots=len(prompts), turn_starts=[tokenizer.user_id])
    replies = write_replies(
        generator, tokenizer, prompts, max_tokens=MAX_TOKENS, interrupted=interrupted
    )
    return [(reply.prompt, reply.text) for reply in replies]


def in_one_line(text: str) -> str:
    """Text that is safe to show in a line: one space for any, control characters replaced."""
    return "".join(
        "\ufffd" if unicodedata.category(c) == "Cc" else c for c in " ".join(text.split())
    )


def append_samples(path: Path, step: int, lines: list[str]) -> None:
    """Append a block, ended by a blank line, to the samples file.

    Raises:
        UserError: it cannot be written: a full disk, for example.
    """
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write("\n".join([f"step {step}", *lines]) + "\n\n")
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}: free some space or use another --out"
        ) from error


def truncate_samples(path: Path, step: int) -> None:
    """Drop the blocks of steps after `step`, which a run that resumes there writes again."""
    if not path.exists():
        return
    blocks = [block for block in path.read_bytes().split(b"\n\n") if block]
    kept = [block for block in blocks if _step_of(block) <= step]
    if kept == blocks:
        return

    def write(file: BinaryIO) -> None:
        file.writelines(block + b"\n\n" for block in kept)

    atomic_write(path, write)


def _step_of(block: bytes) -> int:
    number = block.partition(b"\n")[0].removeprefix(b"step ")
    return int(number) if number.isdigit() else 0
