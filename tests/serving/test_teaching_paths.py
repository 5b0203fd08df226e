"""Teaching over HTTP: who may, and what is told of what cannot be."""

import json
import resource
import shutil
import urllib.error
import urllib.request

import pytest
from support.running_server import running, wait_until
from support.teaching_runs import TAUGHT, teachable_run

from vidya.posttraining.teaching.start import open_teaching
from vidya.storage import checkpoint

pytestmark = pytest.mark.extras
JSON = {"content-type": "application/json"}
HELLO = {"messages": [{"role": "user", "content": "hello"}]}
LESSON = {**HELLO, "answer": "fine thank you"}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return teachable_run(tmp_path_factory.mktemp("teaching") / "run")


def ask(address, path, body=None, headers=JSON):
    """Status, headers and body of an answer."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(address + path, data, dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def error_of(answer):
    status, _, body = answer
    return status, json.loads(body)["error"]["code"]


def test_who_may_teach_and_what_is_refused(original, tmp_path):
    run = shutil.copytree(original, tmp_path / "run")
    with running(run, "--cors-origins", "https://a.example") as (address, _):
        lessons = "/v1/vidya/lessons"
        for headers in (
            {"origin": "https://a.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"},
        ):  # fmt: skip
            for path in (lessons, "/v1/vidya/undo", "/v1/vidya/candidates", "/v1/vidya/leave"):
                status, code = error_of(ask(address, path, LESSON, {**JSON, **headers}))
                assert (status, code) == (403, "origin_not_allowed"), path
        assert ask(address, lessons, LESSON, {"content-type": "text/plain"})[0] == 415
        for wrong in (
            b"{", [], {}, HELLO, {**LESSON, "pick": 1}, {**LESSON, "teacher": "x" * 65},
            {**LESSON, "answer": " "}, {"messages": [], "answer": "a"}, {**HELLO, "pick": 1},
        ):  # fmt: skip
            assert ask(address, lessons, wrong)[0] == 400, wrong
        assert not (run / "teach.jsonl").exists()  # nothing was opened for any of that
        assert ask(address, "/v1/vidya/journal")[0] == 404
        with open_teaching(run, 1, print):
            assert error_of(ask(address, lessons, LESSON)) == (409, "cannot_teach")
        assert error_of(ask(address, "/v1/vidya/undo", {})) == (409, "cannot_teach")
        status, _, body = ask(address, lessons, LESSON)
        assert status == 200 and json.loads(body)["lessons"] == 1
        assert ask(address, "/v1/vidya/journal")[2] == (run / "teach.jsonl").read_bytes()
        status, code = error_of(ask(address, "/v1/vidya/undo", {"teacher": "another"}))
        assert (status, code) == (409, "teaching_taken")
        assert ask(address, "/v1/vidya/leave", {})[0] == 200
        assert ask(address, "/v1/vidya/undo", {"teacher": "another"})[0] == 200
        assert json.loads(ask(address, "/v1/vidya/stats")[2])["taken_back"] == 1


def test_a_full_disk_keeps_lessons_from_being_learnt_until_there_is_room(original, tmp_path):
    """Its journal cannot grow, then no checkpoint fits; nothing is lost when it is killed then."""
    run = shutil.copytree(original, tmp_path / "run")
    journal = run / "teach.jsonl"
    with running(run) as (address, process):

        def room_for(size):
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

        def lessons(answer="fine thank you"):
            status, _, body = ask(address, "/v1/vidya/lessons", {**HELLO, "answer": answer})
            told = json.loads(body)
            return status, told.get("lessons") or (told["error"]["type"], told["error"]["code"])

        def saved():
            return checkpoint.load(run / TAUGHT)[1]["lessons"]

        full = 507, ("server_error", "disk_full")
        room_for(0)
        assert lessons() == full
        room_for(resource.RLIM_INFINITY)
        assert lessons() == (200, 1)
        wait_until((run / TAUGHT).exists)
        room_for(journal.stat().st_size + 9)
        assert lessons("you") == full
        assert ask(address, "/v1/vidya/journal")[2].count(b"\n") == 2
        assert ask(address, "/health")[0] == 200
        room_for(100_000)
        assert lessons("you") == (200, 2)
        assert error_of(ask(address, "/v1/vidya/undo", {})) == (507, "disk_full")
        assert lessons("thank you") == full
        chat = {**HELLO, "max_tokens": 4}
        assert ask(address, "/v1/chat/completions", chat)[0] == 200
        assert saved() == 1
        room_for(resource.RLIM_INFINITY)
        assert lessons("thank you") == (200, 3)
        wait_until(lambda: saved() == 3)  # it is saved beside what comes next
        room_for(100_000)
        assert lessons("hello") == (200, 4)
    with open_teaching(run, 1, print) as teaching:
        rights = [one.right for one in teaching.journal.lessons]
    assert rights == ["fine thank you", "you", "thank you", "hello"]


def test_where_teaching_is_off_it_is_said(original):
    with running(original, "--teach", "no") as (address, _):
        assert error_of(ask(address, "/v1/vidya/lessons", LESSON)) == (403, "teaching_is_off")
        assert json.loads(ask(address, "/v1/vidya/stats")[2]) == {"teaching": False}
        assert json.loads(ask(address, "/v1/vidya/run")[2])["state"] == "none"
        documented = json.loads(ask(address, "/openapi.json")[2])["paths"]
        assert "/v1/vidya/candidates" in documented


def test_candidates_stream_and_are_the_same_at_the_end(original, tmp_path):
    run = shutil.copytree(original, tmp_path / "run")
    with running(run) as (address, _):
        body = {**HELLO, "n": 3, "max_tokens": 8, "stream": True}
        status, headers, raw = ask(address, "/v1/vidya/candidates", body)
        assert status == 200 and headers["content-type"].startswith("text/event-stream")
        *events, last, done = raw.decode().strip().split("\n\n")
        assert done == "data: [DONE]"
        shown = {}
        for one in events:
            piece = json.loads(one.removeprefix("data: "))
            shown[piece["number"]] = piece["text"]
        found = json.loads(last.removeprefix("data: "))
        texts = [one["text"] for one in found["candidates"]]
        assert shown.keys() == {1, 2, 3} and set(texts) <= set(shown.values())
        picked = {"question": found["question"], "pick": 1}
        _, _, raw = ask(address, "/v1/vidya/lessons", picked)
        assert json.loads(raw)["lesson"]["right"] == texts[0]


def test_the_page_is_sent_with_its_policy_and_without_a_key(original):
    with running(original, "--api-key", "secret") as (address, _):
        for path in ("/", "/page/main.js", "/page/page.css"):
            status, headers, _ = ask(address, path)
            assert status == 200 and headers["x-content-type-options"] == "nosniff"
            policy = headers["content-security-policy"]
            assert "script-src 'self'" in policy and "frame-ancestors 'none'" in policy
            known = {"if-none-match": headers["etag"]}
            assert ask(address, path, headers=known)[0] == 304
        for path in ("/page/../web_app.py", "/page/%2e%2e/web_app.py", "/page/", "/v1/vidya/run"):
            assert ask(address, path)[0] == 401
