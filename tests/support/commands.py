"""vidya's commands as processes of their own, quick to start."""

import atexit
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pexpect

TIMEOUT = 60
SERVER = Path(__file__).with_name("command_server.py")


def command_line(name, *arguments):
    """`python -m vidya.NAME ARGUMENTS`."""
    return [sys.executable, "-m", f"vidya.{name}", *map(os.fspath, map(_plain, arguments))]


def _plain(argument):
    return argument if isinstance(argument, (bytes, str, os.PathLike)) else str(argument)


def environment(**more):
    """That of a command: it finds vidya wherever it runs, and asks the terminal what it can."""
    decided = "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"
    ours = {name: value for name, value in os.environ.items() if name not in decided}
    return {**ours, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **more}


def in_terminal(name, *arguments, rows=40, columns=120, cwd=None, **env):
    """`python -m vidya.NAME ARGUMENTS` in a terminal of its own (a `pexpect.spawn`)."""
    executable, *rest = command_line(name, *arguments)
    child = pexpect.spawn(
        executable, rest, dimensions=(rows, columns), cwd=None if cwd is None else str(cwd),
        timeout=TIMEOUT, encoding="utf-8",
        codec_errors="replace",  # Ctrl-C makes a terminal drop output, in the middle of a letter
        env=environment(**{"TERM": "xterm", "PYTHONUTF8": "1", **env}),
    )  # fmt: skip
    child.delaybeforesend = None
    return child


def hang_up(child):
    """Close a terminal, as somebody who closes its window; the exit status of what ran in it."""
    child.ptyproc.fileobj.close()
    child.ptyproc.closed = True
    deadline = time.monotonic() + TIMEOUT
    while child.isalive():
        if time.monotonic() > deadline:
            child.kill(signal.SIGKILL)
            raise TimeoutError("it goes on without its terminal")
        time.sleep(0.02)
    return child.exitstatus


@functools.cache
def _server():
    process = subprocess.Popen(
        [sys.executable, SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environment(),
    )  # fmt: skip
    atexit.register(process.communicate)  # the end of its input ends it
    return process


def run_command_process(
    name, *arguments, cwd=None, stdin=b"", env=None, timeout=TIMEOUT, fresh=False,
    file_limit=None, timing_seconds=None,
):  # fmt: skip
    """`python -m vidya.NAME ARGUMENTS`: its outcome, as `subprocess.run` has it, in text.

    Args:
        name: the command's.
        arguments: what follows it, as `str` or a path.
        cwd: the folder it runs in.
        stdin: what it reads, bytes or text.
        env: environment variables that it gets besides those of the tests.
        timeout: seconds after which it is killed.
        fresh: start a new Python; for what depends on how one starts.
        file_limit: no file may grow past so many bytes, as on a disk that is full.
        timing_seconds: how long the speed of a step is measured, where it is.
    """
    stdin = stdin if isinstance(stdin, bytes) else stdin.encode()
    line = command_line(name, *arguments)
    if fresh:
        done = subprocess.run(
            line, input=stdin, capture_output=True, cwd=cwd, timeout=timeout,
            env=environment(**(env or {})),
        )  # fmt: skip
        status, out, err = done.returncode, done.stdout, done.stderr
    else:
        with tempfile.TemporaryDirectory() as folder:
            files = {one: os.path.join(folder, one) for one in ("stdin", "stdout", "stderr")}
            for one, path in files.items():
                Path(path).write_bytes(stdin if one == "stdin" else b"")
            job = {
                "module": f"vidya.{name}", "arguments": [os.fsdecode(one) for one in line[3:]],
                "cwd": os.fspath(cwd or os.getcwd()), "environment": environment(**(env or {})),
                "timeout": timeout, "file_limit": file_limit, "timing_seconds": timing_seconds,
                **files,
            }  # fmt: skip
            server = _server()
            print(json.dumps(job), file=server.stdin, flush=True)
            status = int(server.stdout.readline())
            out, err = (Path(files[one]).read_bytes() for one in ("stdout", "stderr"))
    texts = (raw.decode("utf-8", "replace").replace("\r\n", "\n") for raw in (out, err))
    return subprocess.CompletedProcess(line, status, *texts)
