"""llama.cpp, from the package `xllamacpp`, in a process of its own that is asked over HTTP.

A process of its own, since what it prints and what might end it is then not ours.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vidya.errors import UserError
from vidya.model.parameters import Array

PACKAGE = "xllamacpp"

_SERVE = """
import sys
import xllamacpp

path, context = sys.argv[1:]
wanted = xllamacpp.CommonParams()
wanted.model.path = path
wanted.n_ctx, wanted.n_parallel, wanted.n_gpu_layers, wanted.warmup = int(context), 1, 0, False
wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(wanted)
print(server.listening_address, flush=True)
sys.stdin.read()  # until who asks is done, or gone
"""
"""Program of the process: it serves a model until its standard input ends."""


def version() -> str | None:
    """Version of the package; None if it is not installed."""
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return None


class LlamaCpp:
    """A model that llama.cpp has loaded."""

    def __init__(self, address: str) -> None:
        self._address = address
        # a proxy, which the environment may name, does not know this machine
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    @classmethod
    @contextlib.contextmanager
    def loaded(cls, path: Path, context: int) -> Iterator[LlamaCpp]:
        """Load a GGUF file; it is let go of at the end of the block.

        Args:
            path: of the file.
            context: tokens that it can attend over.

        Raises:
            UserError: it cannot be loaded.
        """
        with tempfile.TemporaryFile() as told:
            process = subprocess.Popen(
                [sys.executable, "-c", _SERVE, str(path.absolute()), str(context)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=told, text=True,
            )  # fmt: skip
            assert process.stdin is not None and process.stdout is not None
            try:
                address = process.stdout.readline().strip()
                if not address:
                    told.seek(0)
                    last = told.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
                    raise UserError(f"llama.cpp cannot load {path.name} ({last[:200]})")
                yield cls(address)
            finally:
                process.stdin.close()
                process.stdout.close()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def post(self, path: str, **asked: Any) -> Any:
        """What its server answers to a request."""
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._address + path, json.dumps(asked).encode(), headers)
        with self._opener.open(request) as answer:
            return json.load(answer)

    def ids(self, text: str) -> list[int]:
        """Ids of a text in which markers are markers; the one before it is left out."""
        asked = {"content": text, "add_special": True, "parse_special": True}
        ids: list[int] = self.post("/tokenize", **asked)["tokens"]
        return ids[1:]

    def log_probabilities(self, ids: Sequence[int], vocabulary: int) -> Array:
        """Log-probability (nats) of every token after `ids`, [vocabulary]."""
        asked = {"prompt": list(ids), "n_predict": 1, "n_probs": vocabulary, "temperature": 1.0}
        for seed in range(1000):  # nothing is told where the token that is drawn ends a reply
            answer = self.post("/completion", **asked, seed=seed)
            if told := answer.get("completion_probabilities"):
                break
        else:
            raise RuntimeError("llama.cpp told no probabilities")
        values = np.full(vocabulary, -np.inf)
        for one in told[0]["top_logprobs"]:
            values[one["id"]] = one["logprob"]
        return values

    def prompt(self, turns: Sequence[str]) -> str:
        """Text that its chat template makes of a conversation, the user's turn first and last."""
        prompt: str = self.post("/apply-template", messages=_messages(turns))["prompt"]
        return prompt

    def reply(self, turns: Sequence[str], **asked: Any) -> tuple[str, bool]:
        """Its reply to a conversation, and whether it ended it."""
        answer = self.post("/v1/chat/completions", messages=_messages(turns), **asked)
        (choice,) = answer["choices"]
        return choice["message"]["content"], choice["finish_reason"] == "stop"


def _messages(turns: Sequence[str]) -> list[dict[str, str]]:
    return [
        {"role": ("user", "assistant")[number % 2], "content": turn}
        for number, turn in enumerate(turns)
    ]
