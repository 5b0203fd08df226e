"""A stream of events: what is sent, and that it ends when its client goes or reads nothing."""

import asyncio
import json

import pytest

from vidya.serving import event_stream
from vidya.serving.api_error import bad_request
from vidya.serving.event_stream import DONE, EventStream, event, unless_gone


class Client:
    """One side of ASGI: takes `most` messages at once, then goes, or reads no more."""

    def __init__(self, most=10**9, *, stays=True):
        self.got, self._most, self._stays = [], most, stays
        self._gone = asyncio.Event()

    async def receive(self):
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        self.got.append(message)
        if len(self.got) == self._most and not self._stays:
            self._gone.set()
        if len(self.got) >= self._most and self._stays:
            await asyncio.Event().wait()
        await asyncio.sleep(0)


def stream(make_client, source):
    """What a client got of a stream, and whether the source was closed."""
    closed = []

    async def closing():
        try:
            async for some in source():
                yield some
        finally:
            closed.append(True)

    async def run():
        client = make_client()
        await asyncio.wait_for(EventStream(closing())({}, client.receive, client.send), 10)
        return client.got

    got = asyncio.run(run())
    return got, bool(closed)


async def endless():
    while True:
        await asyncio.sleep(0)
        yield event({"a": "é\n"})


async def failing():
    yield event(1)
    raise bad_request("no good")


async def failing_at_once():
    raise bad_request("no good")
    yield b""


def test_an_event_is_one_line_of_json():
    assert event({"a": "é\n"}) == 'data: {"a":"é\\n"}\n\n'.encode()


def test_a_stream_ends_when_its_client_goes_however_fast_it_is():
    got, closed = stream(lambda: Client(50, stays=False), endless)
    assert closed and 50 <= len(got) < 60


def test_a_stream_ends_when_its_client_reads_nothing(monkeypatch):
    monkeypatch.setattr(event_stream, "SECONDS_UNREAD", 0.05)
    got, closed = stream(lambda: Client(5), endless)
    assert closed and len(got) == 5


def test_an_error_is_raised_before_the_first_event_and_sent_after_it():
    got, _ = stream(Client, failing)
    bodies = [message["body"] for message in got if "body" in message]
    assert bodies[0] == event(1) and bodies[2:] == [DONE, b""]
    assert json.loads(bodies[1].removeprefix(b"data: "))["error"]["message"] == "no good"
    with pytest.raises(Exception, match="no good"):
        stream(Client, failing_at_once)


def test_work_for_a_client_that_stays_gives_what_it_gives():
    async def work():
        return 7

    async def run():
        return await unless_gone(work(), Client().receive)

    assert asyncio.run(run()) == 7
