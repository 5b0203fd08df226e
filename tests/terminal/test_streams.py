"""The standard streams: what is said, failed writes, closed streams, any encoding."""

import fcntl
import json
import os
import subprocess
import sys
import threading
import time

import pytest
from support.commands import environment

from vidya.terminal.streams import colour_system, json_text, say

OPEN = """
import os, sys
from vidya.terminal.streams import *
open_standard_streams()
"""


def shell(code, redirections="", **env):
    """A Python that opens the streams and runs `code`, started by a shell."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirections}', "sh", sys.executable, "-c", OPEN + code],
        capture_output=True, timeout=60, env=environment(**env),
    )  # fmt: skip


def test_what_is_said_stays_out_of_the_results(capsys):
    say("loading")
    assert capsys.readouterr() == ("", "loading\n")


# ---------------------------------------------------------------- failed writes

DEAD = {"full": "/dev/full", "pipe": None}


@pytest.mark.parametrize("kind", DEAD)
@pytest.mark.parametrize("dead", [1, 2])
def test_a_failed_write_stops_nothing_and_is_told_once(kind, dead, tmp_path):
    if DEAD[kind]:
        stream = os.open(DEAD[kind], os.O_WRONLY)
    else:
        read, stream = os.pipe()
        os.close(read)
    code = (
        "output_is_not_essential()\n"
        "for _ in range(3):\n"
        "    print('result', flush=True)\n"
        "    say('said')\n"
        "os._exit(7)"
    )
    alive = tmp_path / "alive"
    with open(alive, "wb") as file:
        files = {1: file, 2: file, dead: stream}
        done = subprocess.run(
            [sys.executable, "-c", OPEN + code], stdout=files[1], stderr=files[2], timeout=60,
            env=environment(),
        )  # fmt: skip
    os.close(stream)
    assert done.returncode == 7
    name, word = ("standard output", "said") if dead == 1 else ("standard error", "result")
    lines = alive.read_text().splitlines()
    told = [line for line in lines if line != word]
    assert lines.count(word) == 3 and len(told) == 1
    assert told[0].startswith(f"cannot write to {name} (")
    assert told[0].endswith("): the work goes on without it")


def test_output_that_was_asked_for_fails(tmp_path):
    done = shell("print('result', flush=True)", "> /dev/full")
    assert done.returncode and b"No space left" in done.stderr


def test_with_both_streams_dead_the_work_goes_on(tmp_path):
    code = (
        "output_is_not_essential(); print('x', flush=True); say('x')\n"
        f"open({str(tmp_path / 'done')!r}, 'w').close()"
    )
    done = shell(code, "> /dev/full 2>&1")
    assert done.returncode == 0 and (tmp_path / "done").exists()


def test_a_log_on_a_disk_that_has_room_again_goes_on(tmp_path):
    log = tmp_path / "log"
    code = (
        "import resource\n"
        "most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3, most))\n"
        "say('one'); say('two')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))\n"
        "say('three')"
    )
    assert shell(code, f"2> {log}").returncode == 0
    assert log.read_text() == "onethree\n"


def test_a_pipe_that_does_not_wait_is_waited_for():
    """Another program on the same pipe may have made it so."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETFL, os.O_NONBLOCK)
    code = "print('x' * 300_000, flush=True)"
    child = subprocess.Popen(
        [sys.executable, "-c", OPEN + code], stdout=write, stderr=subprocess.PIPE,
        env=environment(),
    )  # fmt: skip
    os.close(write)
    time.sleep(0.3)  # until the pipe is full
    received = []

    def receive():
        while data := os.read(read, 65536):
            received.append(data)

    reader = threading.Thread(target=receive)
    reader.start()
    _, errors = child.communicate(timeout=60)
    reader.join()
    os.close(read)
    assert child.returncode == 0 and errors == b""
    assert len(b"".join(received)) == 300_001


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_leads_nowhere(closed, tmp_path):
    """A file that is opened next must not get its number, and what is printed."""
    code = (
        "print('result', flush=True); say('said')\n"
        f"file = open({str(tmp_path / 'file')!r}, 'w')\n"
        "os.write(1, b'from C'); os.write(2, b'from C')\n"
        "file.close()\n"
        "assert sys.stdin.read() == ''\n"
        "child = 'import sys; assert sys.stdin and sys.stdout and sys.stderr'\n"
        "os.posix_spawn(sys.executable, [sys.executable, '-c', child], os.environ)\n"
        "assert os.wait()[1] == 0\n"
    )
    done = shell(code, closed)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "file").read_bytes() == b""


def test_a_stream_that_somebody_else_put_there_stays(monkeypatch):
    code = (
        "import io\nmine = sys.stdout = io.StringIO()\nopen_standard_streams()\n"
        "assert sys.stdout is mine"
    )
    assert shell(code).returncode == 0


# ---------------------------------------------------------------- encodings


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "naïve → ─│╭ 10 × ≥ … ⣿ 日本".encode()),
        ("ascii", b"naive -> -|+ 10 x >= ... * ??"),
        ("latin-1", "naïve -> -|+ 10 × >= ... * ??".encode("latin-1")),
        ("cp1252", "naïve -> -|+ 10 × >= … * ??".encode("cp1252")),
    ],
)
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_what_an_encoding_lacks_is_shown_as_something_near(encoding, shown, stream):
    code = f"print('naïve → ─│╭ 10 × ≥ … ⣿ 日本', file=sys.{stream})"
    done = shell(code, PYTHONIOENCODING=encoding, PYTHONUTF8="1")
    assert done.returncode == 0
    assert getattr(done, stream) == shown + b"\n"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_bytes_of_a_name_that_are_no_text_go_out_as_they_are(encoding):
    done = shell(r"print('a\udcff\udc80b')", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stdout) == (0, b"a\xff\x80b\n")


def test_json_has_letters_where_they_can_be_shown(monkeypatch):
    class Stream:
        encoding = "UTF-8"

    monkeypatch.setattr(sys, "stdout", Stream())
    assert json_text({"é": 1}) == '{"é": 1}'
    assert json.loads(json_text("a\udcff")) == "a\udcff" and json_text("a\udcff").isascii()
    Stream.encoding = "latin-1"
    assert json_text("é") == '"\\u00e9"'


def test_no_color_is_no_bold_either(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert colour_system() is None
    monkeypatch.setenv("NO_COLOR", "")  # empty counts as not set
    assert colour_system() == "auto"
