"""What every request passes before it is looked at: Host, Origin, key; and headers of all answers.

- A page of the web can make a browser ask a server on the same machine under a name of its own
  (DNS rebinding). So a server that listens on loopback alone answers to no other name.
- A browser may send requests of other sites without asking first; they are refused by their Origin.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from vidya.serving.api_error import ApiError
from vidya.serving.event_stream import Message, Receive, Send
from vidya.serving.server_metrics import ServerMetrics

App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]
Refuse: TypeAlias = Callable[[ApiError], Any]
"""Makes an ASGI response of an error."""
HEADERS = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
OPEN = "/health"
"""The path that needs no key, beside those of the page, which asks for it."""


@dataclass(frozen=True)
class Guards:
    """Who may ask."""

    hosts: frozenset[str] | None
    """Names that the Host header may have, without the port; None: any."""
    origins: tuple[str, ...] = ()
    """Origins of other sites whose pages may ask; `*` is any."""
    api_key: str | None = None
    """What `Authorization: Bearer` must say; None: nothing."""
    open_paths: frozenset[str] = frozenset({OPEN})
    """Paths that need no key."""

    def refusal(self, scope: Message) -> ApiError | None:
        """Why the site that asks may not; None if it may."""
        headers = scope["headers"]
        host = _header(headers, b"host").lower()
        if self.hosts is not None and _name(host) not in self.hosts:
            return ApiError(
                400, f"this server answers to {' and '.join(sorted(self.hosts))} alone",
                code="host_not_allowed",
            )  # fmt: skip
        origin = _header(headers, b"origin")
        own = f"{scope.get('scheme', 'http')}://{host}"
        if origin and origin.lower() != own and not {origin, "*"} & set(self.origins):
            return ApiError(
                403, "pages of other sites may not ask here: see --cors-origins",
                code="origin_not_allowed",
            )  # fmt: skip
        return None

    def teaching_refusal(self, scope: Message) -> ApiError | None:
        """Why the site that asks may not teach; None if it may: no page but the server's own."""
        headers = scope["headers"]
        own = f"{scope.get('scheme', 'http')}://{_header(headers, b'host').lower()}"
        site, origin = _header(headers, b"sec-fetch-site"), _header(headers, b"origin")
        if site in ("", "none", "same-origin") and origin.lower() in ("", own):
            return None
        return ApiError(403, "no page of another site may teach", code="origin_not_allowed")

    def key_refusal(self, scope: Message) -> ApiError | None:
        """Why a request is refused for its key; None if it is not."""
        if self.api_key is None or scope["path"] in self.open_paths:
            return None
        scheme, _, given = _header(scope["headers"], b"authorization").partition(" ")
        right = hmac.compare_digest(given.strip().encode("latin-1"), self.api_key.encode())
        if scheme.lower() == "bearer" and right:
            return None
        return ApiError(
            401, "a key is needed, or this is not the right one: Authorization: Bearer KEY",
            code="invalid_api_key", headers={"www-authenticate": "Bearer"},
        )  # fmt: skip


class OuterGuard:
    """ASGI middleware around all: counts requests, adds headers, checks Host and Origin."""

    def __init__(
        self, app: App, *, guards: Guards, refuse: Refuse, metrics: ServerMetrics,
        paths: Iterable[str],
    ) -> None:  # fmt: skip
        """Guard `app`; requests to other `paths` than those that there are count as one."""
        self._app = app
        self._guards = guards
        self._refuse = refuse
        self._metrics = metrics
        self._paths = frozenset(paths)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer, or let the next one answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS]
                path = scope["path"] if scope["path"] in self._paths else "other"
                self._metrics.count_request(path, message["status"])
            await send(message)

        error = self._guards.refusal(scope)
        app = self._app if error is None else self._refuse(error)
        await app(scope, receive, send_counted)


class KeyGuard:
    """ASGI middleware that asks for the key; preflights of browsers have none and end before it."""

    def __init__(self, app: App, *, guards: Guards, refuse: Refuse) -> None:
        self._app = app
        self._guards = guards
        self._refuse = refuse

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer, or let the next one answer."""
        error = self._guards.key_refusal(scope) if scope["type"] == "http" else None
        app = self._app if error is None else self._refuse(error)
        await app(scope, receive, send)


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in headers if key == name), "")


def _name(host: str) -> str:
    """The name in a Host header, without its port."""
    name, _, port = host.rpartition(":")
    return name if name and port.isdecimal() else host
