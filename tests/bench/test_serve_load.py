"""The benchmark of the server: its client against a server of few lines, counts and table."""

import collections
import os
import random
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

BENCH = Path(__file__).parents[2] / "bench"
if not BENCH.is_dir():  # an installed package has no benchmarks
    pytest.skip("no bench/ here", allow_module_level=True)
sys.path.insert(0, str(BENCH))

import serve_load  # noqa: E402 - found through the line above
import served  # noqa: E402

CHUNKS = [
    b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n',
    b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":12}}\n\n',
    b"data: [DONE]\n\n",
]


class Streams(BaseHTTPRequestHandler):
    """`/v1/chat` streams, `/v1/half` breaks off, anything else is too much."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.close_connection = True
        if self.path not in ("/v1/chat", "/v1/half"):
            self.send_response(429)
            self.send_header("retry-after", "3")
            self.send_header("content-length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for chunk in CHUNKS if self.path == "/v1/chat" else CHUNKS[:2]:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        if self.path == "/v1/chat":
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def server():
    there = ThreadingHTTPServer(("127.0.0.1", 0), Streams)
    there.handle_error = lambda *_: None  # of clients that go
    threading.Thread(target=there.serve_forever, args=(0.02,), daemon=True).start()
    yield served.Server("some", SimpleNamespace(pid=os.getpid()), there.server_port)
    there.shutdown()
    there.server_close()


@pytest.mark.parametrize("at_once", [True, False])
def test_a_stream_is_read_to_its_end(server, at_once):
    answer = server.ask("chat", {}, at_once=at_once)
    assert (answer.status, answer.tokens, answer.left) == (200, 12, False)
    assert answer.body == b"".join(CHUNKS)
    assert answer.first > 0


def test_a_client_goes_after_so_many_chunks(server):
    answer = server.ask("chat", {}, leave_after=1)
    assert answer.left and answer.first is None  # who speaks is no text
    assert server.ask("chat", {}, leave_after=2).first > 0


def test_a_refusal_says_when_to_come_again(server):
    answer = server.ask("full", {})
    assert (answer.status, answer.retry_after) == (429, 3.0)


def test_half_an_answer_is_wrong(server, monkeypatch):
    monkeypatch.setattr(serve_load, "drawn_request", lambda *_: ("half", {"stream": True}, None))
    met = serve_load.load(server, clients=2, seconds=0.2, context=64)
    assert set(met.wrong()) == {"IncompleteRead"}


def test_what_a_process_holds(server):
    assert server.memory() > 1e6 and server.open_files() > 2
    assert server.processor_seconds() > 0
    assert served.resident("VmPeak:\t 9 kB\nVmRSS:\t  12 kB\n") == 12 * 1024


def test_where_llama_cpp_is(tmp_path):
    inside = tmp_path / "lib/python3.11/site-packages/some/bin/llama-server"
    inside.parent.mkdir(parents=True)
    with pytest.raises(served.BenchError, match="has no llama-server"):
        served.llama_program(tmp_path)
    inside.touch()
    assert served.llama_program(tmp_path) == served.llama_program(inside) == inside


def test_requests_are_short_and_long_and_a_tenth_of_their_clients_go():
    requests = [serve_load.drawn_request(random.Random(seed), 96) for seed in range(2000)]
    assert requests == [serve_load.drawn_request(random.Random(seed), 96) for seed in range(2000)]
    left = [after for _, _, after in requests if after is not None]
    assert 150 < len(left) < 250 and min(left) == 1
    bodies = [body for _, body, _ in requests]
    words = collections.Counter(
        len((body.get("prompt") or body["messages"][0]["content"]).split()) for body in bodies
    )
    assert set(words) == {5, 32} and 500 < words[32] < 700
    assert {path for path, _, _ in requests} == {"completions", "chat/completions"}
    assert all("stream" in body for _, body, after in requests if after is not None)


def test_what_clients_met():
    met = serve_load.Met()
    good = b'{"usage":{"completion_tokens":5}} data: [DONE]'
    met.note(served.Answer(200, good), stream=True)
    met.note(served.Answer(429, b'{"error":{}}'), stream=True)
    met.note(served.Answer(200, b"", left=True), stream=True)
    assert not met.wrong() and met.tokens == 5
    met.note(served.Answer(200, b"data: half"), stream=True)
    met.note(served.Answer(200, b'{"error":{"message":"no"}} data: [DONE]'), stream=True)
    met.note(served.Answer(500, b""), stream=False)
    assert met.wrong() == {"no end": 1, "error in a stream": 1, "500": 1}


def test_each_takes_its_turn_and_the_first_does_not_count():
    turns = []

    def turn(name):
        turns.append(name)
        return float(len(turns))

    found = serve_load.rates({"a": lambda: turn("a"), "b": lambda: turn("b")}, 2)
    assert turns == ["a", "b", "a", "b", "b", "a"]
    assert found == {"a": [3.0, 6.0], "b": [4.0, 5.0]}
    assert serve_load.share_of([9.0, 8.0, 1.0], [10.0, 10.0, 2.0]) == 0.8


def test_the_table_has_a_column_for_each_server():
    met = serve_load.Met(collections.Counter({"200": 1234, "left": 5}), 1000, 2.0)
    figures = serve_load.Figures(
        alone=[100.0, 100.0], rates={"vidya": [91.0, 93.0], "other": [50.0, 52.0]},
        first={5: {"vidya": [20.0, 30.0, 90.0], "other": [1.0]}}, met={"vidya": met, "other": met},
        before=dict.fromkeys(("vidya", "other"), serve_load.Held(100_000_000, 9)),
        after=dict.fromkeys(("vidya", "other"), serve_load.Held(104_000_000, 9)),
        clients_share={"vidya": 0.1, "other": 0.2},
    )  # fmt: skip
    head, _, *lines = serve_load.render(figures, ["vidya", "other"], "10m bf16").splitlines()
    assert head == "| 10m bf16 | vidya | other | bar |"
    cells = {line.split(" | ")[0][2:]: line.split(" | ")[1:3] for line in lines}
    assert cells["five streams, tokens/s"] == ["92 (91-93)", "51 (50-52)"]
    assert cells["… over the Generator's 100 (100-100)"] == ["0.92", "0.51"]
    assert cells["memory, MB: before, after"] == ["100, 104 (+4.0%)"] * 2
    assert cells["answers"] == ["1,234 200, 5 left"] * 2
    assert cells["tokens/s read"] == ["500", "500"]
    (first,) = (found for name, found in cells.items() if name.startswith("first token of 5 words"))
    assert first == ["30, 90 (3)", "1, 1 (1)"]
