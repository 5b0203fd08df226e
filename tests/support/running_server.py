"""A running server as a process of its own, and clients that ask it."""

import contextlib
import re
import subprocess
import time

import pytest
from support.chat_runs import run_folder, tokenizer  # noqa: F401
from support.commands import command_line, environment


@contextlib.contextmanager
def running(folder, *arguments, first="", **more):
    """A server on a free port, unless one is named, after `first` code: address and process."""
    for needed in ("starlette", "uvicorn"):
        pytest.importorskip(needed)
    line = command_line(
        "serve", folder, "--port", 0, "--threads", 1, "--precision", "fp32", *arguments
    )
    if first:
        code = f"{first}; from vidya.serve import main; raise SystemExit(main())"
        line[1:3] = ["-c", code]
    process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=environment(**more))
    try:
        for said in process.stderr:
            if found := re.search(r"served at (http://\S+)/v1", said):
                break
        else:
            raise AssertionError(process.wait())
        yield found[1], process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def server(run_folder):  # noqa: F811
    """One for all tests that leave it as it was; nobody waits: 16 are written for, or refused."""
    with running(run_folder, "--queue", 0) as (address, _):
        yield address


@pytest.fixture(scope="module")
def web():
    """httpx's client, for what OpenAI's does not send."""
    httpx = pytest.importorskip("httpx")
    with httpx.Client(trust_env=False, verify=False, timeout=20) as web:
        yield web


@pytest.fixture(scope="module")
def ask(server, web):
    def ask(path, body=None, **more):
        return web.request("GET" if body is None else "POST", server + path, content=body, **more)

    return ask


def writing(ask):
    return int(re.search(r"^vidya_texts_writing (\d+)", ask("/metrics").text, re.M)[1])


def wait_until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
