"""What breaks servers, against a real socket: it is refused, and the next is answered."""

import contextlib
import re
import socket

import pytest
from support.chat_runs import run_folder, tokenizer  # noqa: F401
from support.running_server import ask, server, web  # noqa: F401

pytestmark = pytest.mark.extras
CHAT = "/v1/chat/completions"


def connected(address):
    host, port = address.removeprefix("http://").split(":")
    return contextlib.closing(socket.create_connection((host, int(port)), 20))


def head(body, path=CHAT, length=None):
    length = len(body) if length is None else length
    return b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % (
        path.encode(), length,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),  # TLS
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 200_000, 400),
        (head(b"{}").replace(b"length: 2", b"length: -2") + b"{}", 400),
        (head(b"") .replace(b"content-length: 0", b"transfer-encoding: chunked") + b"zz\r\n", 400),
        (head(b"\xff\xfe") + b"\xff\xfe", 400),
        (head(b'{"a": NaN}') + b'{"a": NaN}', 400),
        (head(b'{"seed":' + b"9" * 9000 + b"}") + b'{"seed":' + b"9" * 9000 + b"}", 400),
    ],
    ids=range(8),
)  # fmt: skip
def test_what_is_no_request_is_refused(server, ask, sent, status):  # noqa: F811
    with connected(server) as client:
        client.sendall(sent)
        assert re.match(rb"HTTP/1.1 %d " % status, client.recv(1000))
    assert ask("/health").status_code == 200


def test_bodies_of_ten_million_bytes_and_deep_nesting_are_refused(server, ask):  # noqa: F811
    for _ in range(3):
        assert ask(CHAT, bytes(10_000_000)).status_code == 413
        assert ask(CHAT, b'{"a":' * 150_000).status_code == 400
