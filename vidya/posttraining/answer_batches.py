"""Answers to prompts as a batch whose targets are the answers' tokens alone.

An answer is the ids that a model would have drawn: its text and the marker that ended it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidya.text.batch_plan import Batch


@dataclass(frozen=True)
class Answer:
    """What was said before, and what is said then, as ids."""

    prompt: Sequence[int]
    """Up to the marker after which the answer comes; at least one id."""
    reply: Sequence[int]
    """At least one id."""


def answer_batch(answers: Sequence[Answer], context: int) -> Batch:
    """Answers laid end to end, each with its prompt; only the answers' tokens count.

    What is too long for the context loses the beginning of its prompt, then the end of
    its reply. The targets that count lie in the order of the answers and their tokens.

    Raises:
        ValueError: no answers, or an answer without a prompt or a reply.
    """
    if not answers or any(not one.prompt or not one.reply for one in answers):
        raise ValueError("an answer needs a prompt and a reply of at least one id each")
    tokens: list[int] = []
    targets: list[int] = []
    offsets = [0]
    for answer in answers:
        reply = list(answer.reply)[:context]
        prompt = list(answer.prompt)[-(context + 1 - len(reply)) :]
        ids = [*prompt, *reply]
        tokens += ids[:-1]
        targets += [-1] * (len(prompt) - 1) + reply
        offsets.append(len(tokens))
    return Batch(
        np.array(tokens, np.int32), np.array(targets, np.int32), np.array(offsets, np.int64)
    )


def joined(batches: Sequence[Batch]) -> Batch:
    """Batches end to end."""
    shifts = np.cumsum([0, *(len(batch.tokens) for batch in batches)])
    offsets = [batch.offsets[1:] + at for batch, at in zip(batches, shifts, strict=False)]
    return Batch(
        np.concatenate([batch.tokens for batch in batches]),
        np.concatenate([batch.targets for batch in batches]),
        np.concatenate([np.zeros(1, np.int64), *offsets]),
    )


def reply_starts(batch: Batch) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """[answers + 1] where the counted targets of each answer begin among all, and their end."""
    counted = np.concatenate([[0], np.cumsum(batch.targets >= 0)])
    starts: np.ndarray[tuple[int], np.dtype[np.int64]] = counted[batch.offsets]
    return starts
