"""`/v1/vidya/…`: the model is taught over HTTP, one teacher at a time; and the run behind it.

Bodies are JSON and say so, which no form of another site can; what changes something is refused to
every page but the server's own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from vidya.errors import UserError
from vidya.posttraining.teaching.options import TeachOptions
from vidya.serving.api_error import ApiError, bad_request
from vidya.serving.event_stream import EventStream, event, unless_gone
from vidya.serving.json_body import json_object, read_body
from vidya.serving.lesson_request import candidate_options, choice_of
from vidya.serving.openai_chat import turns_of
from vidya.serving.request_fields import flag_of, text_of
from vidya.serving.request_guards import Guards
from vidya.serving.run_view import RunView
from vidya.serving.teaching_place import TeachingPlace
from vidya.storage.run_files import RunFiles
from vidya.system.atomic_file import DISK_FULL

LONGEST_TEACHER = 64
Found = TypeVar("Found")


class TeachingPaths:
    """The functions that answer, with what they need."""

    def __init__(self, place: TeachingPlace | None, folder: Path, guards: Guards) -> None:
        """Answer for a run folder.

        Args:
            place: where its model is taught; None: teaching is off.
            folder: whose curves are shown.
            guards: who may ask.
        """
        self._place = place
        self._guards = guards
        self._run = RunView(folder)

    def routes(self) -> list[Route]:
        """All paths."""
        return [
            Route("/v1/vidya/candidates", self.candidates, methods=["POST"]),
            Route("/v1/vidya/lessons", self.lessons, methods=["POST"]),
            Route("/v1/vidya/undo", self.undo, methods=["POST"]),
            Route("/v1/vidya/leave", self.leave, methods=["POST"]),
            Route("/v1/vidya/stats", self.stats, methods=["GET"]),
            Route("/v1/vidya/measure", self.measure, methods=["POST"]),
            Route("/v1/vidya/journal", self.journal, methods=["GET"]),
            Route("/v1/vidya/run", self.run, methods=["GET"]),
        ]

    async def candidates(self, request: Request) -> Any:
        """`/v1/vidya/candidates`: answers to choose among; with `stream` as they are written."""
        place, body, teacher = await self._asked(request)
        turns = await asyncio.to_thread(turns_of, body.get("messages"))
        options = candidate_options(body)
        if flag_of(body, "stream"):
            return EventStream(_candidate_events(place, teacher, turns, options))
        stopped = threading.Event()
        ask = partial(place.ask, turns, options, lambda _number, _text: None, stopped.is_set)
        try:
            found = await unless_gone(_of(place, teacher, ask), request.receive)
        finally:
            stopped.set()
        return JSONResponse(found) if found is not None else Response(status_code=499)

    async def lessons(self, request: Request) -> Response:
        """`/v1/vidya/lessons`: one of `pick`, `answer` and `reject` is learnt."""
        place, body, teacher = await self._asked(request)
        question = body.get("question")
        turns: list[str] = []
        if question is None:
            turns = await asyncio.to_thread(turns_of, body.get("messages"))
        else:
            question = text_of(question, "question")
        pick, answer = choice_of(body)
        if question is None and answer is None:
            raise bad_request("without a question that was asked, give an answer", "question")
        learn = partial(place.learn, question, turns, pick=pick, answer=answer)
        return JSONResponse(await _of(place, teacher, learn))

    async def undo(self, request: Request) -> Response:
        """`/v1/vidya/undo`: the last lesson is taken back."""
        place, _, teacher = await self._asked(request)
        return JSONResponse(await _of(place, teacher, place.take_back))

    async def leave(self, request: Request) -> Response:
        """`/v1/vidya/leave`: somebody else may teach at once."""
        place, _, teacher = await self._asked(request)
        place.leave(teacher)
        return JSONResponse({})

    async def measure(self, request: Request) -> Response:
        """`/v1/vidya/measure`: the statistics, and what the lessons are worth, measured now."""
        place, _, teacher = await self._asked(request)
        stopped = threading.Event()
        work = _of(place, teacher, partial(place.measure, stopped.is_set))
        try:
            found = await unless_gone(work, request.receive)
        finally:
            stopped.set()
        return JSONResponse(found) if found is not None else Response(status_code=499)

    async def stats(self, _: Request) -> Response:
        """`/v1/vidya/stats`: the lessons so far."""
        if self._place is None:
            return JSONResponse({"teaching": False})
        found = await _told(asyncio.to_thread(self._place.statistics))
        return JSONResponse({"teaching": True, **found})

    async def journal(self, _: Request) -> Response:
        """`/v1/vidya/journal`: the journal of lessons as it stands on the disk."""
        if self._place is None:
            raise _off()
        path = RunFiles(self._place.folder).lessons
        try:
            raw = await asyncio.to_thread(path.read_bytes)
        except OSError:
            raise ApiError(404, "there is no journal: nothing has been taught") from None
        return Response(
            raw[: raw.rfind(b"\n") + 1], media_type="application/jsonl",
            headers={"content-disposition": f'attachment; filename="{path.name}"'},
        )  # fmt: skip

    async def run(self, _: Request) -> Response:
        """`/v1/vidya/run`: the curves and figures of the run, also while it trains."""
        return JSONResponse(await asyncio.to_thread(self._run.now))

    async def _asked(self, request: Request) -> tuple[TeachingPlace, dict[str, Any], str]:
        """The place, the body and the teacher of a request that may teach."""
        if self._place is None:
            raise _off()
        if refusal := self._guards.teaching_refusal(dict(request.scope)):
            raise refusal
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise ApiError(415, "the body must be JSON: content-type: application/json")
        body = json_object(await read_body(request.stream(), request.headers))
        teacher = text_of(body.get("teacher") or "", "teacher")
        if len(teacher) > LONGEST_TEACHER:
            raise bad_request(f"teacher has {LONGEST_TEACHER} characters at most", "teacher")
        return self._place, body, teacher


async def _candidate_events(
    place: TeachingPlace, teacher: str, turns: list[str], options: TeachOptions
) -> AsyncGenerator[bytes, None]:
    """An event for each change of a candidate (its text so far), and at last all of them."""
    loop = asyncio.get_running_loop()
    news: asyncio.Queue[tuple[int, str] | None] = asyncio.Queue()
    stopped = threading.Event()

    def show(number: int, text: str) -> None:
        loop.call_soon_threadsafe(news.put_nowait, (number, text))

    asking = asyncio.ensure_future(
        _of(place, teacher, partial(place.ask, turns, options, show, stopped.is_set))
    )

    def end(done: asyncio.Future[Any]) -> None:
        done.cancelled() or done.exception()  # heard, if nobody waits for it any more
        news.put_nowait(None)

    asking.add_done_callback(end)
    try:
        while (some := await news.get()) is not None:
            yield event({"number": some[0], "text": some[1]})
        yield event(await asking)
    finally:
        stopped.set()


async def _of(place: TeachingPlace, teacher: str, call: Callable[[], Found]) -> Found:
    found: Found = await _told(asyncio.wrap_future(place.run(teacher, call)))
    return found


async def _told(work: Any) -> Any:
    """What is awaited; what keeps it from being done becomes an `ApiError`.

    Its status is 507 for a full disk, 409 for any other `UserError`, for the run is in the way, and
    500 for another error of the system.
    """
    try:
        return await work
    except (OSError, UserError) as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__cause__
        if cause is not None and cause.errno in DISK_FULL:
            said = str(error) if isinstance(error, UserError) else DISK_FULL[cause.errno]
            raise ApiError(507, said, code="disk_full") from error
        if isinstance(error, UserError):
            raise ApiError(409, str(error), code="cannot_teach") from error
        raise ApiError(500, error.strerror or "the system failed") from error


def _off() -> ApiError:
    return ApiError(
        403, "teaching is off: python -m vidya.serve --teach yes", code="teaching_is_off"
    )
