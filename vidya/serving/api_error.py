"""What went wrong with a request, as OpenAI's API says it: a status, and an object with `error`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error",
         500: "server_error", 503: "server_error", 507: "server_error"}  # fmt: skip


class ApiError(Exception):
    """A request that gets no reply.

    Attributes:
        status: of HTTP.
        headers: that the answer has besides.
    """

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Say in `message` what is wrong, in `param` with which field, in `code` in one word."""
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        self._param = param
        self._code = code

    def body(self) -> dict[str, Any]:
        """The object that the client gets."""
        kind = TYPES.get(self.status, "invalid_request_error")
        return {
            "error": {"message": str(self), "type": kind, "param": self._param, "code": self._code}
        }


def bad_request(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """The error of a request that makes no sense (status 400)."""
    return ApiError(400, message, param=param, code=code)
