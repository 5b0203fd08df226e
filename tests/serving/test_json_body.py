"""Bodies of requests: limits of size and time, and what is no JSON object."""

import asyncio
import itertools

import pytest

from vidya.serving import json_body
from vidya.serving.api_error import ApiError
from vidya.serving.json_body import MOST_BYTES, MOST_DISCARDED, json_object, read_body


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "the body is not JSON: Expecting value, line 1, column 1"),
        (b'{"a": ', "the body is not JSON"),
        (b'{"a": "\xff"}', "the body is not UTF-8, from byte 7 on"),
        (b"[" * 100_000, "the body is nested too deep"),
        (b'{"a":' * 100_000, "the body is nested too deep"),
        (b'{"a": NaN}', "the body is not JSON: NaN is no number"),
        (b'{"a": ' + b"9" * 5000 + b"}", "the body is not JSON: Exceeds the limit"),
        (b"[1]", "the body must be a JSON object"),
        (b'"x"', "the body must be a JSON object"),
    ],
)
def test_what_is_no_object_is_refused_in_one_line(body, says):
    with pytest.raises(ApiError) as found:
        json_object(body)
    assert found.value.status == 400 and says in str(found.value)
    assert "\n" not in str(found.value)


def read(chunks, headers=None, delay=0.0):
    async def come():
        for chunk in chunks:
            await asyncio.sleep(delay)
            yield chunk

    return asyncio.run(read_body(come(), headers or {}))


def test_a_body_has_limits(monkeypatch):
    assert read([b"ab", b"c"]) == b"abc"
    assert len(read([bytes(MOST_BYTES)])) == MOST_BYTES
    for chunks, headers in (
        ([bytes(MOST_BYTES), b"x"], {}),
        (itertools.repeat(bytes(MOST_BYTES)), {}),
        (itertools.repeat(b""), {"content-length": str(MOST_DISCARDED + 1)}),
        ([], {"content-length": "9" * 5000}),
    ):
        with pytest.raises(ApiError, match="may have 1,000,000 bytes") as found:
            read(chunks, headers)
        assert found.value.status == 413
    monkeypatch.setattr(json_body, "SECONDS", 0.01)
    with pytest.raises(ApiError, match="did not come within"):
        read([b"a"], delay=1)
