"""What breaks servers, against a real socket: it is refused or ended, and the next is answered."""

import contextlib
import json
import re
import select
import signal
import socket
import time

import pytest
from support.chat_runs import run_folder, tokenizer  # noqa: F401
from support.running_server import ask, running, server, wait_until, web, writing  # noqa: F401

pytestmark = pytest.mark.extras
CHAT = "/v1/chat/completions"
STREAM = {
    "messages": [{"role": "user", "content": "hello there"}], "stream": True, "max_tokens": 4000,
    "top_k": 20, "temperature": 1.0,
}  # fmt: skip
MUCH = {**STREAM, "n": 16, "max_tokens": 590, "logprobs": True, "top_logprobs": 20}
HASTE = (
    "from vidya.serving import event_stream as e, json_body as j, web_server as w; "
    "e.SECONDS_UNREAD, j.SECONDS, w.SECONDS_TO_ASK = 0.2, 1, 1; "
    "w.MOST_CONNECTIONS, w.SECONDS_TO_END = 50, 0.5"
)
"""Limits that a test can wait for."""


def connected(address):
    host, port = address.removeprefix("http://").split(":")
    return contextlib.closing(socket.create_connection((host, int(port)), 20))


def head(body, path=CHAT, length=None):
    length = len(body) if length is None else length
    return b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % (
        path.encode(), length,
    )  # fmt: skip


def whole(fields):
    body = json.dumps(fields).replace("Infinity", "1e999").encode()
    return head(body) + body


def ended(client):
    """What else comes until the connection is closed, or broken off."""
    found = bytearray()
    with contextlib.suppress(ConnectionError):
        while some := client.recv(1_000_000):
            found += some
    return bytes(found)


@pytest.fixture(scope="module")
def hasty(run_folder):  # noqa: F811
    with running(run_folder, first=HASTE) as (address, _):
        yield address


@pytest.fixture
def told(hasty, web):  # noqa: F811
    return lambda path: web.get(hasty + path)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),  # TLS
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 200_000, 400),
        (head(b"", length=10**15), 413),
        (head(b"{}").replace(b"length: 2", b"length: -2") + b"{}", 400),
        (head(b"") .replace(b"content-length: 0", b"transfer-encoding: chunked") + b"zz\r\n", 400),
        (head(b"\xff\xfe") + b"\xff\xfe", 400),
        (head(b'{"a": NaN}') + b'{"a": NaN}', 400),
        (head(b'{"seed":' + b"9" * 9000 + b"}") + b'{"seed":' + b"9" * 9000 + b"}", 400),
        (whole({**STREAM, "temperature": float("inf")}), 400),
        (whole({**STREAM, "max_tokens": float("inf")}), 400),
        (whole({**STREAM, "seed": 10**4000}), 400),
        (whole({**STREAM, "n": 1e300}), 400),
        (whole({**MUCH, "max_tokens": -1}), 400),
    ],
    ids=range(14),
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


def test_requests_that_do_not_wait_for_answers_get_them_in_turn(server):  # noqa: F811
    ask_health = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"
    with connected(server) as client:
        client.sendall(
            ask_health * 20 + ask_health.replace(b"\r\nhost", b"\r\nconnection: close\r\nhost")
        )
        assert ended(client).count(b"HTTP/1.1 200 ") == 21


def test_what_comes_byte_by_byte_for_ever_is_ended(hasty, told):
    """The head of a request, its body, and a body that nobody asked for."""
    chunked = head(b"").replace(b"content-length: 0", b"transfer-encoding: chunked")
    begun = [b"GET /health HT", chunked, chunked.replace(b"POST " + CHAT.encode(), b"GET /health")]
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connected(hasty)) for _ in begun]
        for client, some in zip(clients, begun, strict=True):
            client.sendall(some)
        found = dict.fromkeys(clients, b"")
        going, deadline = set(clients), time.monotonic() + 10
        while going and time.monotonic() < deadline:
            for client in select.select(going, [], [], 0.05)[0]:
                try:
                    some = client.recv(1000)
                except ConnectionError:
                    some = b""
                found[client] += some
                if not some:
                    going.remove(client)
            for client in going:
                with contextlib.suppress(ConnectionError):
                    client.sendall(b"a" if client is clients[0] else b"1\r\na\r\n")
    assert not going
    starts = [found[client][:13] for client in clients]
    assert starts == [b"", b"HTTP/1.1 400 ", b"HTTP/1.1 200 "]
    assert b"the body did not come within 1 s" in found[clients[1]]


def test_a_client_that_never_reads_is_ended_and_holds_up_nobody(hasty, told):
    with connected(hasty) as client:
        client.sendall(whole(MUCH))
        wait_until(lambda: writing(told) == 16)
        assert told("/health").status_code == 200
        wait_until(lambda: writing(told) == 0)
        reset = select.poll()
        reset.register(client, 0)
        assert reset.poll(10_000)  # nothing is kept for it any more
        assert len(ended(client)) < 2_000_000
    counted = re.findall(r'vidya_texts_total\{end="(\w+)"\} ([1-9]\d*)', told("/metrics").text)
    assert ("cancelled", "16") in counted


def test_more_connections_than_there_may_be_are_told_so(hasty, told):
    told("/health")  # one is there
    with contextlib.ExitStack() as stack:
        there = [stack.enter_context(connected(hasty)) for _ in range(300)]
        refused = [ended(one)[:13] for one in there[49:]]
        assert refused == [b"HTTP/1.1 503 "] * len(refused)
        assert told("/health").status_code == 200
    assert told("/health").status_code == 200


def test_killed_while_it_streams_it_starts_again_on_its_port(run_folder, web):  # noqa: F811
    """Nor does a stream that nobody reads keep it from ending when it is told to."""
    with running(run_folder) as (address, process):
        port = address.rsplit(":", 1)[1]
        with connected(address) as client:
            client.sendall(whole(STREAM))
            assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
            process.send_signal(signal.SIGKILL)
            process.wait(10)
            assert b"data: [DONE]" not in ended(client)
            with running(run_folder, "--port", port, first=HASTE) as (again, process):
                assert again == address and web.get(f"{again}/health").status_code == 200
                with connected(again) as unread:
                    unread.sendall(whole(MUCH))
                    wait_until(lambda: writing(lambda path: web.get(again + path)) == 16)
                    process.send_signal(signal.SIGTERM)
                    assert process.wait(30) == 0 and process.stderr.read() == ""
