"""Replies to many messages together, when all of them have ended."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from vidya.generation.generator import Generator
from vidya.generation.replies import Reply, opening, write_replies
from vidya.generation.sampling_settings import SamplingSettings
from vidya.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    pass


def finished_replies(
    generator: Generator,
    tokenizer: Tokenizer,
    requests: Sequence[tuple[str, SamplingSettings]],
    *,
    max_tokens: int,
    interrupted: Callable[[], bool] = lambda: False,
    on_token: Callable[[], None] = lambda: None,
) -> list[Reply]:
    """The replies to messages, a conversation each, when all of them have ended.

    The i-th draws from stream i of its seed (`Sampling.rng`), so it does not depend on what
    the others say or how many fit at one time.

    Args:
        generator: the model, no sequence in it.
        tokenizer: the model's.
        requests: what the user says, and how to draw the reply.
        max_tokens: after which a reply is cut off.
        interrupted: looked at between tokens; what has been written by then is returned.
        on_token: called for each token that was drawn.
    """
    replies = [Reply(number) for number in range(len(requests))]
    if interrupted():
        return replies
    prompts = [opening(generator, tokenizer, message, max_tokens) for message, _ in requests]
    samplings = [sampling for _, sampling in requests]
    writing = write_replies(
        generator, tokenizer, prompts, max_tokens=max_tokens, sampling=samplings
    )
    with contextlib.closing(writing):
        for reply, _ in writing:
            replies[reply.number] = reply
            on_token()
            if interrupted():
                break
    return replies
