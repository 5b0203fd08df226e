"""Replies to conversations: ids from the generator, text as it comes.

- Several replies can be written at once: they share every reading of the weights, and
  each is the one that its prompt would get alone.
- A reply ends at the next marker (`<|user|>`, `<|assistant|>`, `<|bos|>`), which is no
  part of it.
- It does not end before it has said anything: until its first visible character the
  markers cannot be drawn. A model that has learnt little gives the end of a turn a
  high probability everywhere, and would mostly say nothing.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from collections.abc import Generator as Stream
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from vidya.generation.chat_tokens import TextStream, chat_prompt
from vidya.generation.generator import Generator
from vidya.generation.precision import WeightPrecision
from vidya.generation.sampling_settings import SamplingSettings
from vidya.model.transformer import Model
from vidya.text.tokenizer import Tokenizer

Turns: TypeAlias = list[str] | tuple[str, ...]
"""What was said in a conversation, the user's words first and last."""
End = Literal["turn", "length", "stopped"]
MOST_TOGETHER = 16
"""Replies that are worth writing at one time: they share every reading of the weights."""


@dataclass
class Reply:
    """A reply that is being written."""

    number: int
    """Which of the prompts it answers."""
    text: str = ""
    """What it says so far, without the space around it."""
    tokens: int = 0
    """How many were drawn, the marker that ended it included."""
    ids: list[int] = field(default_factory=list)
    """Those tokens, the marker that ended it included."""
    logprobs: list[float] = field(default_factory=list)
    """Log-probabilities (nats) that the model gave to those tokens."""
    logprob: float = 0.0
    """Their sum."""
    end: End | None = None
    """Why it ended: at a marker, at the most tokens, or nobody listened any more."""
    context: list[int] = field(default_factory=list)
    """The ids of conversation and reply that still count, without the marker that ended it."""
    begun: float = 0.0
    """When its prompt was given to the model, in seconds of `time.perf_counter`."""
    first: float = 0.0
    """When its first token was drawn."""
    last: float = 0.0
    """When its last token was drawn."""

    @property
    def tokens_per_s(self) -> float:
        """Speed after the first token; 0 where there is nothing to measure."""
        return (self.tokens - 1) / (self.last - self.first) if self.last > self.first else 0.0

    def speed(self) -> str:
        """One line that says how many tokens it has, how soon they came, and how fast."""
        after = f", {self.tokens_per_s:,.0f} tokens/s after it" if self.tokens > 1 else ""
        return f"{self.tokens} tokens, the first after {self.first - self.begun:.2f} s{after}"


def reply_generator(
    model: Model, tokenizer: Tokenizer, together: int, precision: WeightPrecision = "fp32", *,
    in_place: bool = False,
) -> Generator:  # fmt: skip
    """A generator of so many replies together, or as many as are worth it (`MOST_TOGETHER`)."""
    return Generator(
        model, precision, slots=min(MOST_TOGETHER, together), turn_starts=[tokenizer.user_id],
        in_place=in_place,
    )  # fmt: skip


def opening(generator: Generator, tokenizer: Tokenizer, turns: Turns, max_tokens: int) -> list[int]:
    """Ids of a conversation up to where the reply to it comes.

    They leave room for a reply of `max_tokens`, or of a quarter of the context, beyond
    which a reply pushes out what stands before it. A long message loses its beginning.
    """
    room = min(max_tokens, generator.window // 4)
    return chat_prompt(tokenizer, turns, generator.window - room)


def write_replies(
    generator: Generator,
    tokenizer: Tokenizer,
    prompts: Sequence[Sequence[int]],
    *,
    max_tokens: int,
    sampling: SamplingSettings | Sequence[SamplingSettings],
    rngs: Sequence[np.random.Generator] | None = None,
    may_be_empty: bool = False,
    enough: Callable[[Reply], bool] = lambda _: False,
) -> Stream[tuple[Reply, str], None, None]:
    """Write a reply to each prompt: (reply, piece of its text) as the tokens come.

    There is one a token: the piece is empty where nothing can be shown yet, the last of a
    reply comes with `end` set. Closing this ends the replies that are being written. See
    `Generator.batch`.

    Args:
        generator: of which all slots are free.
        tokenizer: the model's.
        prompts: ids that end with the marker of a reply (`chat_prompt`).
        max_tokens: of a reply at most.
        sampling: how to draw them: all alike, or one a prompt.
        rngs: random streams, one a prompt; default: `rng(i)` of its sampling for the i-th.
        may_be_empty: let a reply end before it has said anything.
        enough: asked after each token of a reply that has not ended; one that need not go on is
            stopped, and its place goes to the next prompt.
    """
    if not isinstance(sampling, SamplingSettings) and len(sampling) != len(prompts):
        raise ValueError(f"{len(sampling)} samplings for {len(prompts)} prompts")
    banned = () if may_be_empty else tokenizer.special_ids
    replies = [Reply(number) for number in range(len(prompts))]
    streams = [TextStream(tokenizer) for _ in prompts]

    def begun() -> Stream[Sequence[int], None, None]:
        """The prompts, each when the model is given it."""
        for reply, prompt in zip(replies, prompts, strict=True):
            reply.begun = time.perf_counter()
            yield prompt

    writing = generator.batch(
        begun(), max_new_tokens=max_tokens, sampling=sampling, stop=tokenizer.special_ids,
        banned=banned, rngs=rngs,
    )  # fmt: skip
    try:
        for token in writing:
            reply, stream, now = replies[token.prompt], streams[token.prompt], time.perf_counter()
            reply.first, reply.last = reply.first or now, now
            reply.tokens += 1
            reply.ids.append(token.id)
            reply.logprobs.append(token.logprob)
            reply.logprob += token.logprob
            reply.context = generator.tokens(token.slot)
            if token.stops:
                reply.end, piece = "turn", stream.end()
                reply.context.pop()  # the marker
            else:
                piece = stream.add(token.id)
                if reply.tokens == max_tokens:
                    reply.end, piece = "length", piece + stream.end()
            if banned and piece and not reply.text:
                generator.ban(token.slot, ())
            reply.text += piece
            if not reply.end and enough(reply):
                reply.end = "stopped"
                generator.remove(token.slot)
            yield reply, piece
    finally:
        writing.close()
        for reply in replies:
            if reply.begun and not reply.end:
                reply.end = "stopped"


def finished_replies(
    generator: Generator,
    tokenizer: Tokenizer,
    requests: Sequence[tuple[Turns, SamplingSettings]],
    *,
    max_tokens: int,
    interrupted: Callable[[], bool] = lambda: False,
) -> list[Reply]:
    """The replies to conversations, when all of them have ended.

    The i-th draws from stream i of its seed (`SamplingSettings.rng`), so it does not depend on what
    the others say or how many fit at one time.

    Args:
        generator: of which all slots are free.
        tokenizer: the model's.
        requests: conversations, and how to draw the reply to each.
        max_tokens: after which a reply is cut off.
        interrupted: looked at between tokens; what has been written by then is returned.
    """
    replies = [Reply(number) for number in range(len(requests))]
    if interrupted():
        return replies
    prompts = [opening(generator, tokenizer, turns, max_tokens) for turns, _ in requests]
    samplings = [sampling for _, sampling in requests]
    writing = write_replies(
        generator, tokenizer, prompts, max_tokens=max_tokens, sampling=samplings
    )
    with contextlib.closing(writing):
        for reply, _ in writing:
            replies[reply.number] = reply
            if interrupted():
                break
    return replies
