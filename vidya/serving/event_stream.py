"""A reply that is sent piece by piece (server-sent events), until its client goes.

A client that has gone, or reads nothing for a minute, ends the stream, and with it the texts that
are being written for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any, TypeAlias, TypeVar

from vidya.serving.api_error import ApiError

Message: TypeAlias = "dict[str, Any]"
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Found = TypeVar("Found")

SECONDS_UNREAD = 60.0
"""After which a client that takes nothing counts as gone."""
DONE = b"data: [DONE]\n\n"
_TO_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))  # made once: it takes time


def event(data: Any) -> bytes:
    """One event with a JSON value."""
    return b"data: " + _TO_JSON.encode(data).encode() + b"\n\n"


class EventStream:
    """An ASGI response of events; it is closed, and its source with it, when the client goes.

    An error before the first event is raised, so that it can have its status; a later one becomes
    an event of its own, after which the stream ends.
    """

    def __init__(self, source: AsyncGenerator[bytes, None]) -> None:
        """Take the bytes of events from `source`."""
        self._source = source
        self._unread_since: float | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Send all events."""
        try:
            await unless_gone(self._send_all(send), receive, self._is_unread)
        finally:
            await self._source.aclose()

    async def _send_all(self, send: Send) -> None:
        first = await anext(self._source, b"")
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send_body(send, first)
        try:
            async for some in self._source:
                await self._send_body(send, some)
        except ApiError as error:
            await self._send_body(send, event(error.body()))
        await self._send_body(send, DONE)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_body(self, send: Send, body: bytes) -> None:
        # No `asyncio.wait_for`: until Python 3.12 it may swallow that it is cancelled.
        self._unread_since = time.monotonic()
        await send({"type": "http.response.body", "body": body, "more_body": True})
        self._unread_since = None

    def _is_unread(self) -> bool:
        since = self._unread_since
        return since is not None and time.monotonic() - since > SECONDS_UNREAD


async def unless_gone(
    work: Coroutine[Any, Any, Found], receive: Receive,
    is_unread: Callable[[], bool] = lambda: False,
) -> Found | None:  # fmt: skip
    """What `work` gives; it is cancelled, and None is returned, when the client goes.

    So it is when `is_unread` says so, which is asked now and then.
    """
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(receive))
    try:
        while not working.done() and not gone.done() and not is_unread():
            await asyncio.wait(
                {working, gone}, timeout=SECONDS_UNREAD / 4,
                return_when=asyncio.FIRST_COMPLETED,
            )  # fmt: skip
        return working.result() if working.done() else None
    finally:
        for one in (working, gone):
            if not one.done():
                one.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await one


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
