"""The body of a request: read within limits of size and time, and understood as a JSON object."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from vidya.serving.api_error import ApiError, bad_request

MOST_BYTES = 1_000_000
"""Of a body."""
MOST_DISCARDED = 32_000_000
"""Of a body that is too long: many clients look for an answer only when they have sent it all."""
SECONDS = 30.0
"""In which a body must have come."""


async def read_body(chunks: AsyncIterator[bytes], headers: Mapping[str, str]) -> bytes:
    """All bytes of a body; `ApiError` for one that is too long (413) or too slow (400)."""
    declared = headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:20]) > MOST_DISCARDED:
        raise _too_long()

    async def read() -> bytes:
        body, size = bytearray(), 0
        async for chunk in chunks:
            size += len(chunk)
            if size <= MOST_BYTES:
                body += chunk
            elif size > MOST_DISCARDED:
                break
        if size > MOST_BYTES:
            raise _too_long()
        return bytes(body)

    try:
        return await asyncio.wait_for(read(), SECONDS)
    except asyncio.TimeoutError:
        raise ApiError(
            400, f"the body did not come within {SECONDS:.0f} s", headers={"connection": "close"}
        ) from None


def json_object(body: bytes) -> dict[str, Any]:
    """The object that a body holds; `ApiError` 400 for anything else."""
    try:
        found = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise bad_request(f"the body is not UTF-8, from byte {error.start} on") from None
    except RecursionError:
        raise bad_request("the body is nested too deep") from None
    except json.JSONDecodeError as error:
        raise bad_request(
            f"the body is not JSON: {error.msg}, line {error.lineno}, column {error.colno}"
        ) from None
    except ValueError as error:  # NaN, or a number of thousands of digits
        raise bad_request(f"the body is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise bad_request("the body must be a JSON object")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _too_long() -> ApiError:
    return ApiError(
        413, f"the body may have {MOST_BYTES:,} bytes at most", headers={"connection": "close"}
    )
