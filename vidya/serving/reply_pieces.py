"""The pieces of a request's texts on the event loop's side, from the scheduler's thread.

The scheduler hands out what is new after each step in one call, which wakes the loop once, however
many clients there are. Whoever leaves the block that takes pieces has its texts cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence

from vidya.serving.api_error import ApiError
from vidya.serving.scheduler import Delivery, QueueFullError, Scheduler, ShuttingDownError
from vidya.serving.writing_job import Piece, WritingJob


def delivery_to(loop: asyncio.AbstractEventLoop) -> Callable[[Delivery], None]:
    """The scheduler's `deliver` for receivers that run in an event loop."""

    def receive_all(delivery: Delivery) -> None:
        for receive, piece in delivery:
            receive(piece)

    def deliver(delivery: Delivery) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(receive_all, delivery)

    return deliver


class ReplyPieces:
    """What comes of the jobs of a request, in the order in which it comes."""

    def __init__(self, going: int) -> None:
        self._queue: asyncio.Queue[tuple[int, Piece]] = asyncio.Queue()
        self._going = going

    def receiver(self, number: int) -> Callable[[Piece], None]:
        """What receives the pieces of a job."""
        return lambda piece: self._queue.put_nowait((number, piece))

    async def some(self) -> list[tuple[int, Piece]]:
        """All that is there, at least one piece (number of the job, piece); empty after the last.

        What waited because the client was slow is one piece for each text.

        Raises:
            ApiError: a text failed (500), or the server is shutting down (503).
        """
        if not self._going:
            return []
        found = [await self._queue.get()]
        while not self._queue.empty():
            found.append(self._queue.get_nowait())
        for _, piece in found:
            if piece.end == "failed":
                raise ApiError(500, piece.error or "the text could not be written")
            if piece.end == "shutdown":
                raise shutting_down()
        self._going -= sum(piece.end is not None for _, piece in found)
        by_number: dict[int, list[Piece]] = {}
        for number, piece in found:
            by_number.setdefault(number, []).append(piece)
        return [(number, joined(pieces)) for number, pieces in by_number.items()]


def joined(pieces: Sequence[Piece]) -> Piece:
    """Neighbouring pieces of a text as one."""
    if len(pieces) == 1:
        return pieces[0]
    return Piece(
        "".join(piece.text for piece in pieces),
        tuple(token for piece in pieces for token in piece.tokens),
        pieces[-1].end,
        max(piece.drawn for piece in pieces),
        tuple(token for piece in pieces for token in piece.prompt_scores),
    )


@contextlib.contextmanager
def pieces_of(scheduler: Scheduler, jobs: Sequence[WritingJob]) -> Iterator[ReplyPieces]:
    """Have texts written while the block lasts.

    Raises:
        ApiError: there is no room for them (429), or the server is shutting down (503).
    """
    pieces = ReplyPieces(len(jobs))
    try:
        writings = scheduler.submit([(job, pieces.receiver(i)) for i, job in enumerate(jobs)])
    except QueueFullError as error:
        raise ApiError(
            429, str(error), code="rate_limit_exceeded",
            headers={"retry-after": str(error.retry_after)},
        ) from error  # fmt: skip
    except ShuttingDownError as error:
        raise shutting_down() from error
    try:
        yield pieces
    finally:
        scheduler.cancel([one for one in writings if not one.ended])


def shutting_down() -> ApiError:
    """The error of a server that is about to end."""
    return ApiError(503, "the server is shutting down", code="shutting_down")
