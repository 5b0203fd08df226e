"""What the server counts, as Prometheus reads it (the text format, version 0.0.4)."""

from __future__ import annotations

import threading
from collections import Counter

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FIRST_TOKEN_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the groups into which waits for a first token are sorted."""


class ServerMetrics:
    """Counters that only rise, from any thread, and their text.

    Attributes:
        requests: answered, by path and status.
        texts: ended, by why.
        prompt_tokens: of all prompts, whether they had to be read or were known.
        written_tokens: drawn.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.texts: Counter[str] = Counter()
        self.prompt_tokens = 0
        self.written_tokens = 0
        self._first_tokens = [0] * (len(FIRST_TOKEN_SECONDS) + 1)
        self._first_token_sum = 0.0
        self._lock = threading.Lock()

    def count_request(self, path: str, status: int) -> None:
        """Count a request that was answered."""
        with self._lock:
            self.requests[path, status] += 1

    def count_first_token(self, seconds: float) -> None:
        """Count how long a text waited for its first token, from its request on."""
        group = sum(seconds > bound for bound in FIRST_TOKEN_SECONDS)
        with self._lock:
            self._first_tokens[group] += 1
            self._first_token_sum += seconds

    def text(self, *, writing: int, waiting: int) -> str:
        """Everything, in Prometheus's format; how many texts are written and wait is told to it."""
        with self._lock:
            requests, texts = sorted(self.requests.items()), sorted(self.texts.items())
            groups, seconds = list(self._first_tokens), self._first_token_sum
        lines: list[str] = []

        def add(name: str, kind: str, what: str, samples: list[tuple[str, float]]) -> None:
            lines.extend((f"# HELP vidya_{name} {what}", f"# TYPE vidya_{name} {kind}"))
            lines.extend(f"vidya_{name}{labels} {value}" for labels, value in samples)

        add("requests_total", "counter", "Requests that were answered.",
            [(f'{{path="{path}",status="{s}"}}', n) for (path, s), n in requests])  # fmt: skip
        add("texts_total", "counter", "Texts that ended, by why.",
            [(f'{{end="{end}"}}', n) for end, n in texts])  # fmt: skip
        add("prompt_tokens_total", "counter", "Tokens of prompts.", [("", self.prompt_tokens)])
        add("written_tokens_total", "counter", "Tokens written.", [("", self.written_tokens)])
        add("texts_writing", "gauge", "Texts that are being written.", [("", writing)])
        add("texts_waiting", "gauge", "Texts that wait for a place.", [("", waiting)])
        total, samples = 0, []
        for bound, n in zip([*map(str, FIRST_TOKEN_SECONDS), "+Inf"], groups, strict=True):
            total += n
            samples.append((f'_bucket{{le="{bound}"}}', float(total)))
        samples += [("_sum", seconds), ("_count", float(total))]
        add("first_token_seconds", "histogram", "Seconds from a request to its first token.",
            samples)  # fmt: skip
        return "\n".join(lines) + "\n"
