"""A running server: OpenAI's own client, clients that go, limits, and how it ends."""

import contextlib
import json
import re
import signal
import socket
import threading

import pytest
from support.chat_runs import run_folder, tokenizer  # noqa: F401
from support.running_server import ask, running, server, wait_until, web, writing  # noqa: F401

import vidya
from vidya.serving.web_server import pause

pytestmark = pytest.mark.extras
HELLO = [{"role": "user", "content": "hello there"}]
QUIET = {"top_k": 20}
"""With which the model of the tests never ends a reply by itself."""


@pytest.fixture(scope="module")
def client(server, web):  # noqa: F811
    openai = pytest.importorskip("openai")
    return openai.OpenAI(base_url=f"{server}/v1", api_key="none", max_retries=0)


def create(client, messages=HELLO, *, extra=QUIET, **more):
    settings = {"temperature": 1.0, "seed": 5, "max_tokens": 20, "model": "nano", **more}
    return client.chat.completions.create(messages=messages, extra_body=extra, **settings)


def test_replies_are_those_of_python(client, run_folder):  # noqa: F811
    model = vidya.load(run_folder, threads=1, precision="fp32")
    expected = model.chat("hello there", temperature=1.0, top_k=20, seed=5, max_tokens=20)
    reply = create(client)
    choice = reply.choices[0]
    assert choice.message.content == expected.rstrip("\ufffd")
    assert choice.finish_reason == "length" and reply.usage.completion_tokens == 20
    several = create(client, n=3)
    texts = [choice.message.content for choice in several.choices]
    assert texts[0] == choice.message.content and len(set(texts)) == 3
    assert [model.id for model in client.models.list()] == ["nano"]
    assert client.models.retrieve("nano").id == "nano"


def test_a_stream_is_the_reply_in_pieces(client):
    chunks = list(create(client, n=2, stream=True, stream_options={"include_usage": True}))
    whole = create(client, n=2)
    for number in range(2):
        mine = [c.choices[0] for c in chunks if c.choices and c.choices[0].index == number]
        text = "".join(choice.delta.content or "" for choice in mine)
        assert text == whole.choices[number].message.content
        assert [c.finish_reason for c in mine] == [None] * (len(mine) - 1) + ["length"]
        assert mine[0].delta.role == "assistant"
    assert chunks[-1].usage == whole.usage and chunks[-1].choices == []


def test_stop_strings_and_log_probabilities(client):
    whole = create(client, logprobs=True, top_logprobs=3).choices[0]
    text = whole.message.content
    stop = text[4:7]
    reply = create(client, stop=["never", stop], logprobs=True).choices[0]
    assert reply.message.content == text[: text.index(stop)] and reply.finish_reason == "stop"
    tokens = whole.logprobs.content
    assert len(tokens) == 20 and all(len(token.top_logprobs) == 3 for token in tokens)
    raw = b"".join(bytes(token.bytes) for token in tokens)
    assert raw.decode("utf-8", "replace").strip().rstrip("\ufffd") == text
    pieces = create(client, stream=True, logprobs=True)
    streamed = [t for c in pieces if c.choices[0].logprobs for t in c.choices[0].logprobs.content]
    assert [t.logprob for t in streamed] == [t.logprob for t in tokens]


def test_completions_echo_and_score(client):
    asked = {"model": "nano", "prompt": "hello there", "seed": 5, "extra_body": QUIET}
    done = client.completions.create(max_tokens=4, logprobs=2, echo=True, **asked)
    choice = done.choices[0]
    assert choice.text.startswith("hello there") and choice.finish_reason == "length"
    told = choice.logprobs
    assert len(told.tokens) == len(told.token_logprobs) == len(told.text_offset)
    assert len(told.tokens) == done.usage.total_tokens - 1  # <|bos|> follows nothing
    without = client.completions.create(max_tokens=4, **asked).choices[0].text
    assert choice.text == "hello there" + without
    scored = client.completions.create(max_tokens=0, logprobs=0, echo=True, **asked).choices[0]
    n = len(scored.logprobs.tokens)
    assert scored.text == "hello there"
    assert scored.logprobs.token_logprobs == told.token_logprobs[:n]
    parts = client.completions.create(max_tokens=4, stream=True, **asked)
    assert "".join(part.choices[0].text for part in parts) == without


def test_a_seed_gives_the_same_reply_whoever_else_is_there(client):
    alone = create(client, max_tokens=40).choices[0].message.content
    others = [create(client, stream=True, seed=n, max_tokens=4000) for n in range(3)]
    for other in others:
        next(other)
    together = []
    threads = [
        threading.Thread(
            target=lambda: together.append(create(client, max_tokens=40).choices[0].message.content)
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for other in others:
        other.close()
    assert together == [alone] * 3


def test_a_client_that_goes_makes_room_and_one_too_many_is_told_when_to_come(client, ask):  # noqa: F811
    import openai

    wait_until(lambda: writing(ask) == 0)
    stream = create(client, n=16, stream=True, max_tokens=4000)
    next(stream)
    with pytest.raises(openai.RateLimitError) as full:
        create(client)
    assert int(full.value.response.headers["retry-after"]) >= 1
    assert full.value.body["code"] == "rate_limit_exceeded"
    stream.close()
    wait_until(lambda: writing(ask) == 0)
    with pytest.raises(openai.APITimeoutError):  # nor is one written for that waits for the whole
        create(client, max_tokens=4000, timeout=0.2)
    wait_until(lambda: writing(ask) == 0)
    assert create(client).choices[0].message.content


def test_errors_have_the_form_and_the_status_of_openai(client, ask):  # noqa: F811
    import openai

    with pytest.raises(openai.BadRequestError) as wrong:
        create(client, temperature=-1)
    assert wrong.value.body["param"] == "temperature"
    with pytest.raises(openai.NotFoundError, match="there is no model 'gpt-4'"):
        create(client, model="gpt-4")
    chat = "/v1/chat/completions"
    for path, body, status, says in (
        ("/v1/nothing", None, 404, "there is no such path: GET /v1/nothing"),
        (chat, None, 405, "method not allowed: GET /v1/chat/completions"),
        (chat, b"{", 400, "the body is not JSON"),
        (chat, b'{"messages": "\xff"}', 400, "the body is not UTF-8"),
        (chat, b"[" * 99_999, 400, "the body is nested too deep"),
        (chat, bytes(5_000_000), 413, "the body may have 1,000,000 bytes at most"),
        ("/v1/models/../../etc/passwd", None, 404, "there is no"),
        ("/v1/models/%2e%2e%2fx", None, 404, "there is no model '../x'"),
    ):
        answer = ask(path, body)
        error = answer.json()["error"]
        assert answer.status_code == status and says in error["message"], answer.text
        assert set(error) == {"message", "type", "param", "code"}
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert ask("/v1/models", headers={"host": "evil.example"}).status_code == 400
    assert ask(chat, b"{}", headers={"origin": "https://evil.example"}).status_code == 403
    document = ask("/openapi.json").json()
    assert chat in document["paths"] and ask("/health").json() == {"status": "ok"}


def ends_streams(address, process, number, web, **headers):  # noqa: F811
    """A signal ends a stream with an error, and the server with status 0 and no word."""
    body = {"messages": HELLO, "max_tokens": 4000, "stream": True, **QUIET}
    with web.stream("POST", f"{address}/v1/chat/completions", json=body, headers=headers) as answer:
        lines = answer.iter_lines()
        next(line for line in lines if re.search('"content":"[^"]', line))
        process.send_signal(number)
        *_, error, done = [line for line in lines if line]
    assert done == "data: [DONE]"
    assert json.loads(error.removeprefix("data: "))["error"]["code"] == "shutting_down"
    assert process.wait(10) == 0 and process.stderr.read() == ""


def test_a_key_and_named_sites_and_a_signal(run_folder, web):  # noqa: F811
    more = {"VIDYA_API_KEY": "secret"}
    arguments = "--cors-origins", "https://chat.example", "--host", "0.0.0.0"
    with running(run_folder, *arguments, **more) as (address, process):
        with open(f"/proc/{process.pid}/cmdline") as line:
            assert "secret" not in line.read()
        path = address.replace("0.0.0.0", "127.0.0.1") + "/v1/models"
        key = {"authorization": "Bearer secret"}
        assert web.get(path).status_code == 401
        assert web.get(path, headers={"authorization": "Bearer x"}).status_code == 401
        assert web.get(path, headers={**key, "host": "any.example"}).status_code == 200
        site = {"origin": "https://chat.example"}
        asks = {"access-control-request-method": "POST"}
        assert web.options(path, headers={**site, **asks}).status_code == 200
        answer = web.get(path, headers={**key, **site})
        assert answer.headers["access-control-allow-origin"] == "https://chat.example"
        ends_streams(path.removesuffix("/v1/models"), process, signal.SIGTERM, web, **key)


def test_connections_have_limits_and_ctrl_c(run_folder, web):  # noqa: F811
    """Of more than there may be the last are refused, and those that ask nothing are closed."""
    first = "import vidya.serving.web_server as server; server.SECONDS_TO_ASK = 3"
    with running(run_folder, first=first) as (address, process):
        host, port = address.removeprefix("http://").split(":")
        there = [socket.create_connection((host, int(port)), 10) for _ in range(256)]
        over = socket.create_connection((host, int(port)), 10)
        with contextlib.closing(over):
            assert over.recv(1000).startswith(b"HTTP/1.1 503 ")
        there[0].sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert there[0].recv(1000).startswith(b"HTTP/1.1 200 ")
        there[1].sendall(b"GET /health HT")  # and no more
        for one in there[1:]:
            assert one.recv(1000) == b""
        for one in there:
            one.close()
        ends_streams(address, process, signal.SIGINT, web)


def test_it_serves_without_the_libraries_of_others(run_folder, web):  # noqa: F811
    first = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))"
    with running(run_folder, first=first) as (address, process):
        asked = {"messages": HELLO, "max_tokens": 2}
        assert web.post(f"{address}/v1/chat/completions", json=asked).status_code == 200
        process.send_signal(signal.SIGTERM)
        loaded = set(process.stderr.read().split())
    assert {"vidya.serving.web_app", "starlette", "uvicorn"} <= loaded
    others = {"torch", "transformers", "huggingface_hub", "safetensors", "pydantic", "openai"}
    assert loaded & others == set()


def test_pauses_between_chunks_grow_with_the_texts_up_to_what_is_seen():
    assert [pause(texts) for texts in (0, 1, 5, 16)] == [0, 0.004, 0.02, 0.05]
