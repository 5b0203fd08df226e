"""The server: a socket, its limits, and an end that closes every stream."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import json
import signal
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidya.errors import UserError
from vidya.generation.precision import WeightPrecision
from vidya.generation.replies import MOST_TOGETHER, reply_generator
from vidya.serving.api_error import ApiError
from vidya.serving.reply_pieces import delivery_to
from vidya.serving.request_guards import LOOPBACK_NAMES, OPEN, Guards
from vidya.serving.scheduler import Scheduler
from vidya.serving.served_model import ServedModel
from vidya.serving.teaching_place import TeachingPlace
from vidya.storage.pretrained import Pretrained
from vidya.system.open_files import allow_open_files
from vidya.system.stop_signal import handled

if TYPE_CHECKING:
    from starlette.routing import Route

MOST_CONNECTIONS = 256
ACCEPTED_AT_ONCE = 100
"""Connections that the event loop accepts before it closes those of them that are too many."""
WAITING_CONNECTIONS = 1024
"""That the system keeps until they are accepted; others try again a second later."""
OPEN_FILES = MOST_CONNECTIONS + 4 * ACCEPTED_AT_ONCE + 100
"""That the process has at most, with those of connections that are being refused. Were it allowed
fewer, asyncio would try to accept as many as it may, and print a page of each failure."""
SECONDS_TO_ASK = 30.0
"""In which a connection must have sent the head of a request."""
PAUSE, LONGEST_PAUSE = 0.004, 0.05
"""Seconds between two chunks of a stream: for each text that is being written, and at most."""
SEND_BUFFER = 128 * 1024
"""Bytes that the system may hold for a connection until its client reads them."""
DISCARD = struct.pack("ii", 1, 0)
"""SO_LINGER by which the system, too, forgets what a client has not read when it is closed."""
SECONDS_TO_END = 5
"""That a client has to read the end of its stream when the server ends."""


@dataclass(frozen=True)
class TaughtWhere:
    """How the model is opened for teaching."""

    path: Path
    """Its checkpoint, or its run folder."""
    out: Path | None
    """Folder of the lessons, where it is not the model's own."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; `UserError` if that cannot be."""
    allow_open_files(OPEN_FILES)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = sorted(found, key=lambda one: one[0] != socket.AF_INET)[0]
        listening = socket.create_server(address[:2], family=family)
        # else the system keeps megabytes for a client that reads nothing, before anybody notices
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            said = f"port {port} is in use: choose another --port"
        else:
            said = f"cannot listen on {host}, port {port} ({error.strerror}): choose another --host"
        raise UserError(said) from error
    return listening


def is_loopback(listening: socket.socket) -> bool:
    """Whether nobody but this machine can reach a socket."""
    return ipaddress.ip_address(listening.getsockname()[0]).is_loopback


def address_of(listening: socket.socket) -> str:
    """Where the server is: `http://127.0.0.1:8000`."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def pause(texts: int) -> float:
    """Seconds between two chunks of a stream, unless it begins or ends, for so many texts.

    Sending then takes the same small part of the time however many are written.
    """
    return min(LONGEST_PAUSE, PAUSE * texts)


def serve(
    pretrained: Pretrained, precision: WeightPrecision, listening: socket.socket, *,
    host: str, api_key: str | None, origins: tuple[str, ...], queue: int,
    taught: TaughtWhere | None, ready: Callable[[ServedModel], None], say: Callable[[str], None],
) -> None:  # fmt: skip
    """Serve a model until SIGINT, SIGTERM or SIGHUP comes.

    Args:
        pretrained: the model.
        precision: of its weights.
        listening: where.
        host: the name by which it was asked to listen, which requests may use, too.
        api_key: what clients must know; None: nothing.
        origins: of other sites whose pages may ask.
        queue: texts that may wait.
        taught: how the model is opened for teaching; None: it is not taught here.
        ready: is called when requests are taken.
        say: takes lines of what teaching does.
    """
    from vidya.serving.page_files import page_routes
    from vidya.serving.teaching_paths import TeachingPaths

    path = pretrained.checkpoint_path.absolute()
    model = ServedModel(
        _name(path), pretrained.tokenizer, pretrained.model.config.context,
        int(path.stat().st_mtime),
    )  # fmt: skip
    generator = reply_generator(pretrained.model, pretrained.tokenizer, MOST_TOGETHER, precision)
    hosts = LOOPBACK_NAMES | {host.lower()} if is_loopback(listening) else None
    page = page_routes()
    guards = Guards(hosts, origins, api_key, frozenset({OPEN, *(route.path for route in page)}))

    # Between two steps the scheduler computes in Python, and the event loop is to be quick.
    sys.setswitchinterval(0.001)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        scheduler = Scheduler(
            generator,
            pretrained.tokenizer,
            waiting=queue,
            deliver=delivery_to(loop),
            pause=pause,
        )
        place = None
        if taught is not None:
            place = TeachingPlace(
                taught.path, taught.out, pretrained.model, pretrained.tokenizer, scheduler, say
            )  # fmt: skip
        paths = TeachingPaths(place, path.parent, guards)
        server = _server(model, scheduler, guards, [*page, *paths.routes()])
        with handled(server.handle_exit, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            watching = asyncio.create_task(_end_streams(server, scheduler, place))
            queueing = asyncio.create_task(_lengthen_queue(server, listening))
            ready(model)
            try:
                await server.serve(sockets=[listening])
            finally:
                server.should_exit = True
                await asyncio.gather(watching, queueing)
                if place is not None:
                    await asyncio.to_thread(place.shut_down)

    asyncio.run(run())


async def _end_streams(server: Any, scheduler: Scheduler, place: TeachingPlace | None) -> None:
    """End what is being written as soon as the server is asked to end; till then, idle teaching."""
    while not server.should_exit:
        if place is not None:
            place.close_if_idle()
        await asyncio.sleep(0.05)
    await asyncio.to_thread(scheduler.shut_down)


async def _lengthen_queue(server: Any, listening: socket.socket) -> None:
    """Let more connections wait than are accepted at once, which for asyncio is one number."""
    while not (server.started or server.should_exit):
        await asyncio.sleep(0.01)
    if server.started:
        listening.listen(WAITING_CONNECTIONS)


def _server(
    model: ServedModel, scheduler: Scheduler, guards: Guards, besides: Sequence[Route]
) -> Any:
    import uvicorn

    from vidya.serving.web_app import web_app

    config = uvicorn.Config(
        web_app(model, scheduler, guards, besides),
        http=_limited_protocol(), ws="none", loop="asyncio", lifespan="off",
        log_config=None, log_level="critical", access_log=False, backlog=ACCEPTED_AT_ONCE,
        server_header=False, proxy_headers=False, timeout_graceful_shutdown=SECONDS_TO_END,
    )  # fmt: skip
    return uvicorn.Server(config)


def _limited_protocol() -> Any:
    """Uvicorn's connection with two limits that it has not: how many there are, and how idle."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class LimitedConnection(H11Protocol):  # type: ignore[misc]
        """A connection that is refused if there are too many, and closed if it asks nothing."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._seen: Any = None
            if len(self.connections) > MOST_CONNECTIONS:
                transport.write(_too_many())
                transport.close()
            self._look_later()

        def data_received(self, data: bytes) -> None:
            if not self.transport.is_closing():
                super().data_received(data)

        def connection_lost(self, exc: Exception | None) -> None:
            self._looking.cancel()
            super().connection_lost(exc)

        def _look_later(self) -> None:
            self._looking = self.loop.call_later(SECONDS_TO_ASK, self._look)

        def _look(self) -> None:
            """Close it if nothing was asked since the last look, or what is left is not read."""
            asking = self.cycle is None or self.cycle.response_complete
            if self.transport.is_closing():
                one = self.transport.get_extra_info("socket")
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, DISCARD)
                self.transport.abort()
                return
            if asking and self._seen is self.cycle:
                self.transport.close()
            self._seen = self.cycle if asking else self
            self._look_later()

    return LimitedConnection


def _too_many() -> bytes:
    body = json.dumps(ApiError(503, "too many connections", code="too_many_connections").body())
    return (
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n"
        f"retry-after: 1\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    ).encode()


def _name(path: Path) -> str:
    """What a model is called: after its run folder."""
    return path.parent.name or path.stem
