"""`python -m vidya.serve`: what it refuses. What it serves: tests/serving/test_web_server.py."""

import importlib.util
import socket
import sys

import pytest
from support.chat_runs import run_folder, tokenizer  # noqa: F401

from vidya import serve
from vidya.terminal.command_frame import run_command

pytestmark = pytest.mark.either_precision


@pytest.fixture
def refused(monkeypatch, capsys, kernel_settings):
    """Run the command, which ends with status 2; what it says."""

    def run(*arguments, installed=True):
        monkeypatch.setattr(sys, "argv", ["serve", *map(str, arguments)])
        find = importlib.util.find_spec
        monkeypatch.setattr(
            serve, "find_spec",
            lambda name: (installed or None) if name in serve.NEEDED else find(name),
        )  # fmt: skip
        assert run_command(serve.main) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.count("error: ") == 1
        return err

    return run


def test_options_that_cannot_work_are_refused_in_one_line(refused, monkeypatch):
    monkeypatch.delenv(serve.KEY, raising=False)
    for arguments, says in (
        (["--port", 70000], "--port must be between 0 and 65535, not 70000"),
        (["--queue", -1], "--queue must be"),
        (["--api-key", "two words"], "--api-key must be of visible ASCII characters"),
        (["--api-key", ""], "--api-key must be of visible ASCII characters"),
        (["--cors-origins", "https://a.example/x"], "takes origins such as https://a.example, not"),
        (["nowhere"], "nowhere"),
    ):
        err = refused(*arguments)
        assert says in err and err.count("\n") == 1


def test_it_says_what_to_install(refused):
    err = refused("--port", 0, installed=False)
    assert "serving needs starlette and uvicorn: python -m pip install starlette uvicorn" in err


def test_an_address_that_others_reach_needs_a_key(refused, monkeypatch, run_folder):  # noqa: F811
    monkeypatch.delenv(serve.KEY, raising=False)
    err = refused(run_folder, "--host", "0.0.0.0", "--port", 0)
    assert f"--host 0.0.0.0 lets other machines ask: set {serve.KEY}, or --api-key" in err


def test_a_port_in_use_is_told(refused, run_folder):  # noqa: F811
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} is in use: choose another --port" in refused(
            run_folder, "--port", port
        )
