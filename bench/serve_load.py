"""How a server bears load: five streams, the first token beside four, many clients for minutes.

    python bench/serve_load.py RUN [--llama FOLDER] [--precision bf16 fp32] [--threads 2]
        [--rounds 10] [--tries 50] [--minutes 5] [--clients 64] [--json FILE]

RUN is a run folder. Servers are started on it on loopback: `vidya.serve`, and with `--llama` (a
folder, an environment or the program) llama.cpp's on the GGUF that the run is exported to, in the
same precision, with as many threads and slots. 0 for `--rounds`, `--tries` or `--minutes` leaves a
part out. For every precision:

- Five streams of up to 200 tokens at one time, in turn with the same five texts by vidya's
  `Generator` (for vidya, the same seeds: of each prompt one whose text is long). The client is
  woken when a stream has ended, so that it takes nothing from the server.
- Four streams go on, and a chat that the cache knows nothing of asks for its first text: one of a
  few words, one of a third of the context.
- Clients ask for chats and texts, short and long, one or three, most as streams; a tenth of them
  go after a few chunks. A 429 is asked again when its `Retry-After` says. Memory and open files are
  looked at when nothing has been asked for 5 seconds, before it (after every slot has been full
  once, and 30 seconds of the same load) and after it.

Exit status 1: an answer was anything but 200 or 429, a stream had no end, or a server did not end
by itself.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from machine import Others, describe, summary
from report import table
from served import (
    DONE,
    Answer,
    BenchError,
    Server,
    export_for_llama,
    llama_program,
    llama_server,
    vidya_server,
)

from vidya import kernels
from vidya.errors import UserError
from vidya.generation.generator import Generator
from vidya.generation.replies import MOST_TOGETHER, reply_generator
from vidya.generation.sampling_settings import SamplingSettings
from vidya.storage.pretrained import Pretrained, load_pretrained

GGUF_PRECISION = {"bf16": "bf16", "fp32": "fp32", "int8": "q8_0"}
QUESTIONS = ("hello", "how are you", "what do you like", "who are you", "tell me a story")
WORDS = ("hello", "cat", "how", "tree", "blue", "what", "is", "day", "seven", "over")
SHORT = 5
"""Words of a short prompt."""
TOKENS = 200
HOT = SamplingSettings(temperature=3.0, top_k=100)
"""So that the end of a turn, which is likely everywhere, is one of 100 that are almost alike."""
SEEDS = 128
"""That are tried for a text that does not end."""
WARM_UP_SECONDS = 30.0
IDLE_SECONDS = 5.0
BARS = {"share": 0.90, "first token": 100, "memory": 0.05}


# ---- the same five texts -----------------------------------------------------------------------


@dataclass(frozen=True)
class Text:
    """A text that both a generator and a server are asked for."""

    prompt: str
    ids: list[int]
    sampling: SamplingSettings

    def body(self) -> dict[str, Any]:
        """Of the request for it as a stream."""
        how = self.sampling
        return {
            "prompt": self.prompt, "max_tokens": TOKENS, "seed": how.seed,
            "temperature": how.temperature, "top_k": how.top_k, "top_p": 1, "min_p": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }  # fmt: skip


class Alone:
    """The generator by itself, as the server has it."""

    def __init__(self, pretrained: Pretrained, precision: Any) -> None:
        self._tokenizer = pretrained.tokenizer
        self._generator: Generator = reply_generator(
            pretrained.model, pretrained.tokenizer, MOST_TOGETHER, precision
        )
        self.texts = [self._long_text(question) for question in QUESTIONS]

    def lengths(self, texts: Sequence[Text]) -> list[int]:
        """How many tokens are drawn for each text, all of them together."""
        counts = [0] * len(texts)
        for token in self._generator.batch(
            [text.ids for text in texts], max_new_tokens=TOKENS,
            sampling=[text.sampling for text in texts], stop=self._tokenizer.special_ids,
            rngs=[text.sampling.rng() for text in texts],
        ):  # fmt: skip
            counts[token.prompt] += 1
        return counts

    def rate(self) -> float:
        """Tokens a second of the five texts together."""
        begun = time.perf_counter()
        count = sum(self.lengths(self.texts))
        return count / (time.perf_counter() - begun)

    def _long_text(self, question: str) -> Text:
        """One that is as long as may be, or the longest of many seeds."""
        prompt = f"<|user|> {question} <|assistant|>"
        ids = [self._tokenizer.bos_id, *self._tokenizer.encode_marked(prompt)]
        longest, length = None, 0
        for first in range(0, SEEDS, MOST_TOGETHER):
            texts = [
                Text(prompt, ids, replace(HOT, seed=seed))
                for seed in range(first, first + MOST_TOGETHER)
            ]
            for text, count in zip(texts, self.lengths(texts), strict=True):
                if count > length:
                    longest, length = text, count
            if length == TOKENS:
                break
        assert longest is not None
        return longest


def streams_rate(server: Server, texts: Sequence[Text]) -> float:
    """Tokens a second of texts that are streamed at one time."""
    begun = time.perf_counter()
    with ThreadPoolExecutor(len(texts)) as pool:
        answers = list(pool.map(lambda text: _stream(server, text), texts))
    return sum(answer.tokens for answer in answers) / (time.perf_counter() - begun)


def _stream(server: Server, text: Text) -> Answer:
    answer = server.ask("completions", {**text.body(), **server.own_fields}, at_once=False)
    if answer.status != 200 or DONE not in answer.body:
        raise BenchError(f"{server.name} answered {answer.status}: {answer.body[-200:]!r}")
    return answer


def rates(work: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each gives in every round, in turns; the first of each is not counted."""
    found: dict[str, list[float]] = {name: [] for name in work}
    for one in work.values():
        one()
    for number in range(rounds):
        for name in list(work) if number % 2 == 0 else list(work)[::-1]:
            found[name].append(work[name]())
    return found


# ---- the first token ---------------------------------------------------------------------------


@contextmanager
def going_on(server: Server, texts: Sequence[Text]) -> Iterator[None]:
    """Streams of texts, each again as soon as it has ended, while the block lasts."""
    ending = threading.Event()

    def again(text: Text) -> None:
        while not ending.is_set():
            _stream(server, text)

    with ThreadPoolExecutor(len(texts)) as pool:
        streams = [pool.submit(again, text) for text in texts]
        try:
            time.sleep(0.5)
            yield
        finally:
            ending.set()
    for stream in streams:
        stream.result()


def first_tokens(server: Server, texts: Sequence[Text], words: int, tries: int) -> list[float]:
    """Milliseconds to the first text of chats of so many words, beside streams of texts."""
    draw, found = random.Random(words), []
    with going_on(server, texts):
        for number in range(tries):
            content = " ".join([str(number), *draw.choices(WORDS, k=words - 1)])
            body = {"messages": [{"role": "user", "content": content}], "stream": True,
                    "max_tokens": 4, "seed": number, **server.own_fields}  # fmt: skip
            answer = server.ask("chat/completions", body)
            if answer.first is not None:
                found.append(answer.first * 1000)
            time.sleep(draw.uniform(0.02, 0.1))
    return found


# ---- many clients ------------------------------------------------------------------------------


@dataclass
class Met:
    """What clients met."""

    counts: collections.Counter[str] = field(default_factory=collections.Counter)
    tokens: int = 0
    """Of the answers that were read to their end."""
    seconds: float = 0.0

    def note(self, answer: Answer, stream: bool) -> None:
        """Count an answer."""
        if answer.left:
            self.counts["left"] += 1
            return
        self.counts[str(answer.status)] += 1
        if answer.status == 200:
            self.tokens += answer.tokens
            if stream and DONE not in answer.body:
                self.counts["no end"] += 1
            if b'"error":{' in answer.body:
                self.counts["error in a stream"] += 1

    def wrong(self) -> dict[str, int]:
        """What there should be none of."""
        return {name: n for name, n in self.counts.items() if name not in ("200", "429", "left")}


def long_words(context: int) -> int:
    """Words of a long prompt."""
    return context // 3


def drawn_request(draw: random.Random, context: int) -> tuple[str, dict[str, Any], int | None]:
    """Path and body of a request, and the chunks after which its client goes."""
    count = long_words(context) if draw.random() < 0.3 else SHORT
    words = " ".join(draw.choices(WORDS, k=count))
    body: dict[str, Any] = {"max_tokens": draw.choice((8, 64)), "n": draw.choice((1, 1, 1, 3))}
    if draw.random() < 0.8:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    leave_after = None
    if draw.random() < 0.1:
        body |= {"stream": True, "max_tokens": 64}
        leave_after = draw.randint(1, 6)
    if draw.random() < 0.5:
        return "chat/completions", body | {"messages": [{"role": "user", "content": words}]}, (
            leave_after
        )  # fmt: skip
    return "completions", body | {"prompt": words}, leave_after


def load(server: Server, clients: int, seconds: float, context: int) -> Met:
    """Let so many clients ask for so long."""
    met, until, lock = Met(), time.monotonic() + seconds, threading.Lock()

    def client(number: int) -> None:
        draw = random.Random(number)
        while time.monotonic() < until:
            path, body, leave_after = drawn_request(draw, context)
            try:
                answer = server.ask(path, body, leave_after=leave_after)
            except Exception as error:  # a connection that broke, half an answer
                with lock:
                    met.counts[type(error).__name__] += 1
                continue
            with lock:
                met.note(answer, "stream" in body)
            if answer.status == 429:
                time.sleep(min(answer.retry_after, max(0.0, until - time.monotonic())))

    begun = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))
    met.seconds = time.monotonic() - begun
    return met


def fill_slots(server: Server, context: int) -> None:
    """Have every slot hold as much as it can, once."""

    def fill(number: int) -> Answer:
        words = [str(number), *random.Random(number).choices(WORDS, k=3 * context // 4)]
        body = {"prompt": " ".join(words), "max_tokens": context // 8, **server.own_fields}
        return server.ask("completions", body)

    with ThreadPoolExecutor(MOST_TOGETHER) as pool:
        list(pool.map(fill, range(MOST_TOGETHER)))


@dataclass(frozen=True)
class Held:
    """What a server that does nothing holds."""

    memory: int
    open_files: int


def held_when_idle(server: Server) -> Held:
    """After some seconds."""
    time.sleep(IDLE_SECONDS)
    return Held(server.memory(), server.open_files())


# ---- all of it ---------------------------------------------------------------------------------


@dataclass
class Figures:
    """All that was measured in one precision: tokens a second, milliseconds, bytes."""

    alone: list[float] = field(default_factory=list)
    rates: dict[str, list[float]] = field(default_factory=dict)
    lengths: list[int] = field(default_factory=list)
    first: dict[int, dict[str, list[float]]] = field(default_factory=dict)
    """By the words of the prompt."""
    met: dict[str, Met] = field(default_factory=dict)
    before: dict[str, Held] = field(default_factory=dict)
    after: dict[str, Held] = field(default_factory=dict)
    clients_share: dict[str, float] = field(default_factory=dict)
    """Of all cores, what the clients took while there were many."""


def spread(values: Sequence[float]) -> str:
    """Median, slowest and fastest."""
    return f"{statistics.median(values):,.0f} ({min(values):,.0f}-{max(values):,.0f})"


def share_of(there: Sequence[float], alone: Sequence[float]) -> float:
    """The median, over the rounds, of one rate over the other."""
    return statistics.median(one / other for one, other in zip(there, alone, strict=True))


def late(values: Sequence[float]) -> str:
    """Median and 95th percentile."""
    ordered = sorted(values)
    worst = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    return f"{statistics.median(ordered):.0f}, {worst:.0f} ({len(ordered)})"


def counted(met: Met) -> str:
    """Statuses, and what went wrong."""
    return ", ".join(f"{n:,} {name}" for name, n in sorted(met.counts.items()))


def render(figures: Figures, servers: Sequence[str], caption: str) -> str:
    """The table of one precision, a column a server."""
    rows: list[tuple[str, Callable[[str], str], str]] = []
    if figures.rates:
        shares = {one: share_of(figures.rates[one], figures.alone) for one in servers}
        rows += [
            ("five streams, tokens/s", lambda one: spread(figures.rates[one]), ""),
            (f"… over the Generator's {spread(figures.alone)}",
             lambda one: f"{shares[one]:.2f}", f"vidya ≥ {BARS['share']:.2f}"),
        ]  # fmt: skip
    for words, found in figures.first.items():
        rows.append((
            f"first token of {words} words beside four streams, ms: median, 95th percentile "
            "(tries)", lambda one, found=found: late(found[one]), f"< {BARS['first token']}",
        ))  # fmt: skip
    if figures.met:
        rows += [
            ("answers", lambda one: counted(figures.met[one]), "200, 429, left"),
            ("tokens/s read", lambda one: f"{_rate(figures.met[one]):,.0f}", ""),
            ("memory, MB: before, after", lambda one: _memory(figures, one),
             f"± {BARS['memory']:.0%}"),
            ("open files before, after", lambda one: f"{figures.before[one].open_files}, "
             f"{figures.after[one].open_files}", ""),
            ("cores that the clients took", lambda one: f"{figures.clients_share[one]:.0%}", ""),
        ]  # fmt: skip
    lines = [(name, *(cell(one) for one in servers), bar) for name, cell, bar in rows]
    return table((caption, *servers, "bar"), lines)


def _rate(met: Met) -> float:
    return met.tokens / max(1e-9, met.seconds)


def _memory(figures: Figures, name: str) -> str:
    before, after = figures.before[name].memory, figures.after[name].memory
    return f"{before / 1e6:,.0f}, {after / 1e6:,.0f} ({after / before - 1:+.1%})"


def measure(
    pretrained: Pretrained, precision: str, servers: Sequence[Server], given: argparse.Namespace
) -> Figures:
    """All that is asked for of servers in one precision."""
    figures, context = Figures(), pretrained.model.config.context
    if given.rounds or given.tries:
        alone = Alone(pretrained, precision)
        figures.lengths = alone.lengths(alone.texts)
        tell(f"{precision}: five texts of {figures.lengths} tokens")
    if given.rounds:
        work = {server.name: lambda one=server: streams_rate(one, alone.texts)
                for server in servers}  # fmt: skip
        figures.rates = rates({"alone": alone.rate, **work}, given.rounds)
        figures.alone = figures.rates.pop("alone")
    for words in (SHORT, long_words(context)) if given.tries else ():
        figures.first[words] = {
            server.name: first_tokens(server, alone.texts[:4], words, given.tries)
            for server in servers
        }
    for server in servers if given.minutes else ():
        tell(f"{precision}: {given.clients} clients of {server.name}, {given.minutes:g} minutes")
        fill_slots(server, context)
        load(server, given.clients, WARM_UP_SECONDS, context)
        figures.before[server.name] = held_when_idle(server)
        own = time.process_time()
        met = load(server, given.clients, given.minutes * 60, context)
        figures.clients_share[server.name] = (time.process_time() - own) / (
            met.seconds * kernels.usable_cores()
        )
        figures.met[server.name] = met
        figures.after[server.name] = held_when_idle(server)
    return figures


@contextmanager
def started(
    pretrained: Pretrained, precision: str, given: argparse.Namespace, folder: Path
) -> Iterator[list[Server]]:
    """The servers of one precision, which are ended with the block."""
    servers = [vidya_server(given.run, precision, given.threads)]
    try:
        if given.llama:
            model = folder / f"{precision}.gguf"
            export_for_llama(given.run, GGUF_PRECISION[precision], model)
            context = pretrained.model.config.context
            servers.append(
                llama_server(
                    llama_program(given.llama), model, given.threads, MOST_TOGETHER, context
                )
            )
        yield servers
    finally:
        statuses = {server.name: server.end() for server in servers}
        if any(statuses.values()):
            raise BenchError(f"exit status of the servers: {statuses}")


def tell(line: str) -> None:
    """Say how far it is."""
    print(line, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--llama", type=Path, help="folder, environment or llama-server itself")
    parser.add_argument("--precision", nargs="+", choices=GGUF_PRECISION, default=["bf16"])
    parser.add_argument("--threads", type=int, default=kernels.usable_cores())
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--tries", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    try:
        return run(given)
    except (BenchError, UserError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def run(given: argparse.Namespace) -> int:
    """Everything that was asked for."""
    kernels.set_num_threads(given.threads)
    pretrained, machine = load_pretrained(given.run), describe()
    print(f"On {summary(machine)}.\n{pretrained.describe()}, {given.threads} threads.\n")
    preset, found = pretrained.meta.get("preset", "model"), {}
    with tempfile.TemporaryDirectory() as folder:
        for precision in given.precision:
            others, begun = Others(), time.monotonic()
            with started(pretrained, precision, given, Path(folder)) as servers:
                figures = measure(pretrained, precision, servers, given)
                ours = sum(server.processor_seconds() for server in servers)
            found[precision] = figures
            print(render(figures, [one.name for one in servers], f"{preset} {precision}"))
            cores = (time.monotonic() - begun) * kernels.usable_cores()
            print(f"\nOther programs took {max(0.0, others.share() - ours / cores):.0%} of the "
                  "cores.\n", flush=True)  # fmt: skip
    if given.json:
        text = json.dumps({"machine": machine, "figures": found}, indent=1, default=vars)
        given.json.write_text(text + "\n", encoding="utf-8")
    return int(any(met.wrong() for one in found.values() for met in one.met.values()))


if __name__ == "__main__":
    raise SystemExit(main())
