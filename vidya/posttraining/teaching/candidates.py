"""Candidates for an answer, each of which says something else if that can be had.

A model that is sure, as it is after a lesson, says the same five times: no choice for its teacher.
So what another candidate has said is drawn again, at a higher temperature each time. The random
streams are numbered, so that the same state offers the same candidates.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator as Stream
from collections.abc import Iterable, Sequence

from vidya.generation.generator import Generator
from vidya.generation.replies import Reply, write_replies
from vidya.posttraining.teaching.options import TeachOptions
from vidya.terminal.formatting import plural
from vidya.text.tokenizer import Tokenizer

REDRAWN = 3
"""Times that what another candidate said is drawn again."""
_WARMER = 1.4
"""Temperature of a draw as a multiple of that of the draw before."""
_LEAST_WARM = 0.5
"""Least temperature of what is drawn again: at 0 it would be the same."""


def write_candidates(
    generator: Generator, tokenizer: Tokenizer, prompt: Sequence[int], options: TeachOptions,
    first: int,
) -> Stream[tuple[Reply, str], None, None]:  # fmt: skip
    """Write candidates, all together; as `write_replies` gives them.

    A reply that says what another says begins again, with the same number; the last one of each
    number counts (`distinct`).

    Args:
        generator: of which all slots are free.
        tokenizer: the model's.
        prompt: ids that end with the marker of a reply.
        options: how many, and how they are drawn.
        first: number of the first candidate's random stream; those after it follow.
    """
    ended: dict[int, Reply] = {}
    sampling = options.sampling()
    wanted = list(range(options.n))
    for draw in range(REDRAWN + 1):
        numbered: set[int] = set()
        writing = write_replies(
            generator, tokenizer, [prompt] * len(wanted), max_tokens=options.max_tokens,
            sampling=sampling, rngs=[sampling.rng(first + n + (draw << 48)) for n in wanted],
        )  # fmt: skip
        for reply, piece in writing:
            if id(reply) not in numbered:
                numbered.add(id(reply))
                reply.number = wanted[reply.number]
            if reply.end:
                ended[reply.number] = reply
            yield reply, piece
        kept = {reply.number for reply in distinct(ended.values())}
        wanted = [number for number in range(options.n) if number not in kept]
        if not wanted:
            return
        temperature = max(_LEAST_WARM, _WARMER * sampling.temperature)
        sampling = dataclasses.replace(sampling, temperature=temperature)


def distinct(replies: Iterable[Reply]) -> list[Reply]:
    """The last reply of each number, in order, without those that say what one before says."""
    last = {reply.number: reply for reply in replies}
    found: dict[str, Reply] = {}
    for number in sorted(last):
        found.setdefault(" ".join(last[number].text.split()), last[number])
    return list(found.values())


def too_few(found: int, wanted: int) -> str | None:
    """What to say where fewer candidates came than were wanted; None: all came."""
    if found >= wanted:
        return None
    return f"only {plural(found, 'different answer')} came, not {wanted}"
