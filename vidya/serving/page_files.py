"""The page: a few static files, read once, with the headers that keep other things out of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FOLDER = Path(__file__).parent / "page"
KINDS = {
    ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"
}  # fmt: skip
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Content-Security-Policy: nothing inline, nothing from elsewhere, in nobody's frame."""


def page_routes() -> list[Route]:
    """A path for each file: `/` is index.html, the others stand below `/page/`."""
    files = sorted(path for path in FOLDER.iterdir() if path.suffix in KINDS)
    return [_route(path) for path in files]


def _route(path: Path) -> Route:
    content = path.read_bytes()
    tag = f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
    headers = {
        "content-security-policy": POLICY, "etag": tag, "cache-control": "no-cache",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }  # fmt: skip

    async def answer(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=KINDS[path.suffix], headers=headers)

    at = "/" if path.name == "index.html" else f"/page/{path.name}"
    return Route(at, answer, methods=["GET"])
