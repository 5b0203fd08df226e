"""`python -m vidya.serve` as a process of its own."""

import contextlib
import re
import subprocess

import pytest
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
