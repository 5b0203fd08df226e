"""A server as a process, vidya's or llama.cpp's, and a client of it that takes little time.

Both understand OpenAI's API; what they have of their own stands here.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

START_SECONDS = 120.0
"""In which a server must answer."""
ANSWER_SECONDS = 300.0
"""In which a client must hear something."""
READ = 65536
TEXT = re.compile(rb'"(?:text|content)":"[^"]')
USAGE = re.compile(rb'"completion_tokens":(\d+)')
DONE = b"data: [DONE]"


class BenchError(Exception):
    """What the person who runs this can mend."""


@dataclass(frozen=True)
class Answer:
    """What a client got."""

    status: int
    body: bytes
    first: float | None = None
    """Seconds from the connection's beginning to the first text."""
    left: bool = False
    """Whether the client went before the end."""
    retry_after: float = 0.0
    """Seconds after which the server says there is room."""

    @property
    def tokens(self) -> int:
        """That were drawn for it, as the answer says."""
        counts = USAGE.findall(self.body)
        return int(counts[-1]) if counts else 0


@dataclass
class Server:
    """A server that runs."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    own_fields: Mapping[str, Any] = field(default_factory=dict)
    """Fields that every timed request to it has besides."""

    def ask(
        self, path: str, body: Mapping[str, Any], *, at_once: bool = True,
        leave_after: int | None = None,
    ) -> Answer:  # fmt: skip
        """Send a request and read the answer.

        Args:
            path: behind `/v1/`.
            body: of the request.
            at_once: read what comes when it comes; else the kernel wakes this process when much
                is there, or all, which leaves the processor to the server.
            leave_after: close the connection after so many chunks.
        """
        begun, first, parts = time.perf_counter(), None, []
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        try:
            connection.connect()
            if not at_once:
                connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, READ)
            headers = {"content-type": "application/json", "connection": "close"}
            connection.request("POST", f"/v1/{path}", json.dumps(body), headers)
            response = connection.getresponse()
            while part := response.read1(READ):
                parts.append(part)
                if first is None and TEXT.search(part):
                    first = time.perf_counter() - begun
                if len(parts) == leave_after:
                    return Answer(response.status, b"".join(parts), first, left=True)
        finally:
            connection.close()
        retry_after = float(response.headers.get("retry-after", 0))
        return Answer(response.status, b"".join(parts), first, retry_after=retry_after)

    def memory(self) -> int:
        """Bytes of it that are in memory."""
        return resident(Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii"))

    def open_files(self) -> int:
        """How many files and sockets it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def processor_seconds(self) -> float:
        """What it has taken of the processor."""
        text = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii")
        user, system = text.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def end(self) -> int:
        """Its exit status after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def resident(status: str) -> int:
    """Bytes from the text of `/proc/PID/status`."""
    found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    if found is None:
        raise BenchError("this system does not tell how much memory a process takes")
    return int(found[1]) * 1024


# ---- starting them -------------------------------------------------------------------------------


def vidya_server(run: Path, precision: str, threads: int) -> Server:
    """`python -m vidya.serve` on a run."""
    command = [sys.executable, "-m", "vidya.serve", run, "--precision", precision,
               "--threads", threads, "--teach", "no"]  # fmt: skip
    return _started("vidya", [*command, "--port"], "/health", {})


def llama_server(
    program: Path, model: Path, threads: int, slots: int, context: int
) -> Server:  # fmt: skip
    """llama.cpp's server on a GGUF, with so many slots of a whole context each."""
    command = [program, "-m", model, "-t", threads, "-np", slots, "-c", slots * context,
               "--no-webui", "--log-disable", "--port"]  # fmt: skip
    libraries = ":".join(filter(None, [str(program.parent), os.environ.get("LD_LIBRARY_PATH")]))
    environment = {**os.environ, "LD_LIBRARY_PATH": libraries}
    return _started("llama.cpp", command, "/health", environment, {"ignore_eos": True})


def llama_program(given: Path) -> Path:
    """llama.cpp's server in a folder, in an environment with a package that has it, or itself."""
    patterns = ("llama-server", "bin/llama-server", "lib/python*/site-packages/*/bin/llama-server")
    found = [given] if given.is_file() else [path for one in patterns for path in given.glob(one)]
    if not found:
        raise BenchError(f"{given} has no llama-server")
    return found[0].absolute()


def export_for_llama(run: Path, precision: str, out: Path) -> None:
    """Write a run as GGUF."""
    command = [sys.executable, "-m", "vidya.export", run, "--to", "gguf", "--precision", precision,
               "--allow-other-ids", "--out", out]  # fmt: skip
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    if done.returncode:
        raise BenchError(f"the export failed: {done.stderr.strip()[-500:]}")


def _started(
    name: str, command: Sequence[Any], health: str, environment: dict[str, str],
    own_fields: Mapping[str, Any] = {},
) -> Server:  # fmt: skip
    """A server that answers; the last argument of its command is to be followed by a port."""
    port = _free_port()
    said = tempfile.TemporaryFile()
    process = subprocess.Popen(
        [*map(str, command), str(port)], stdout=said, stderr=said, env=environment or None
    )
    server = Server(name, process, port, own_fields)
    try:
        _wait(lambda: _is_well(port, health), process)
    except BaseException:
        process.kill()
        process.wait()
        said.seek(0)
        print(said.read()[-2000:].decode(errors="replace"), file=sys.stderr)
        raise
    return server


def _wait(ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > until:
            raise BenchError("the server did not start")
        time.sleep(0.1)


def _is_well(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
