"""vidya and PyTorch side by side: whole training steps, alternating in one run.

    pip install torch
    python bench/versus_torch.py [--preset 10m 25m] [--tokens document 4096]
        [--threads 2] [--precision fp32 bf16] [--rounds 7] [--json FILE]

Both train the same architecture on the same tokens: forward, backward, clipping at
norm 1, Adam (PyTorch's fused one); dropout 0.1; PyTorch eager and `torch.compile`, in
fp32 and in bf16 autocast. In every round each takes its turn, in the opposite order from
the round before, after a pause in which the other library's threads fall asleep; the
machine's limits are sampled between the rounds. A turn is one step, or several if they
are short. Printed: medians over the rounds with the fastest and slowest, vidya's speed
over PyTorch's best in the same precision, the share of the machine's arithmetic limit,
and peak memory, of a step in a process that runs only the one of them.

A mode that takes more than five times the fastest one's step, and long, gets three
rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib.util
import json
import math
import multiprocessing
import re
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from limits import Meter
from machine import Others, describe, summary
from report import table
from steps import (
    SETTLE,
    Step,
    config_of,
    documents,
    step_flops,
    timed,
    vidya_step,
)

from vidya import kernels
from vidya.model.config import ModelConfig
from vidya.model.presets import PRESETS
from vidya.text.batch_plan import Batch

TURN_SECONDS = 0.3
SLOW, SLOW_ROUNDS = 5.0, 3
PATIENCE = 30.0
"""Seconds that any mode's rounds may take, however slow it is beside the fastest."""
DISTURBED = 0.05
"""Part of the cores that other programs may take before the figures mean little."""
LONG_STEP = 15.0
"""Seconds from which a first step is warm-up enough."""


@dataclass(frozen=True)
class Mode:
    """One way to train."""

    tool: str
    """ "vidya", "eager" or "compile"."""
    precision: str

    @property
    def name(self) -> str:
        """As it is printed."""
        return f"{self.tool} {self.precision}"

    def step(self, config: ModelConfig, batch: Batch, threads: int) -> Step:
        """A training step in this mode."""
        if self.tool == "vidya":
            return vidya_step(config, batch, threads, self.precision)
        from torch_model import torch_step

        compiled = self.tool == "compile"
        return torch_step(config, batch, threads, compiled=compiled, precision=self.precision)


@dataclass
class Measured:
    """What was found out about one mode."""

    mode: Mode
    missing: str | None = None
    """Why it cannot be done here."""
    seconds: list[float] = field(default_factory=list)
    """Of a step, each round."""
    slow: bool = False
    peak_bytes: int | None = None
    """Most resident memory during a step, in a process of its own."""

    @property
    def median(self) -> float:
        """Seconds of a step; infinite if it cannot be done."""
        return statistics.median(self.seconds) if self.seconds else math.inf


# ---- rounds -----------------------------------------------------------------------------------


@dataclass
class Runner:
    """A mode that works, warmed up."""

    measured: Measured
    step: Step
    estimate: float
    repeats: int

    def turn(self) -> None:
        """Measure one turn."""
        time.sleep(SETTLE)
        seconds = timed(lambda: [self.step() for _ in range(self.repeats)])
        self.measured.seconds.append(seconds / self.repeats)


def warm_up(measured: Measured, config: ModelConfig, batch: Batch, threads: int) -> Runner | None:
    """Make the first steps; None if that fails, and `measured` says why."""
    try:
        step = measured.mode.step(config, batch, threads)
        estimate = timed(step)
        say(f"{measured.mode.name}: first step {estimate:.2f} s")
        if measured.mode.tool == "compile" or estimate < LONG_STEP:
            estimate = timed(step)
    except Exception as error:  # whatever a compiler or a missing instruction may raise
        measured.missing = first_line(error)
        say(f"{measured.mode.name}: not possible here: {measured.missing}")
        return None
    return Runner(measured, step, estimate, max(1, math.ceil(TURN_SECONDS / estimate)))


def say(line: str) -> None:
    """Progress, on stderr."""
    print(line, file=sys.stderr, flush=True)


def first_line(error: Exception) -> str:
    """What went wrong, short enough for a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = re.sub(r"\s+", " ", lines[0]) if lines else type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."


def alternate(runners: list[Runner], rounds: int, between: Callable[[], None]) -> None:
    """Let all take turns for so many rounds; `between` is called before each and at the end."""
    fastest = min(runner.estimate for runner in runners)
    for runner in runners:
        long = runner.estimate > SLOW * fastest and runner.estimate * rounds > PATIENCE
        runner.measured.slow = long and rounds > SLOW_ROUNDS
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        between()
        for runner in runners if number % 2 == 0 else reversed(runners):
            # a slow one's rounds are spread over all
            step = rounds / SLOW_ROUNDS
            turns = {int(step * i) for i in range(SLOW_ROUNDS)}
            if not runner.measured.slow or number in turns:
                runner.turn()
    between()


# ---- memory -----------------------------------------------------------------------------------


def _peak(mode: Mode, config: ModelConfig, batch: Batch, threads: int, steps: int, to: Any) -> None:
    """In the child: make steps, send the peak of the last."""
    step = mode.step(config, batch, threads)
    for _ in range(steps - 1):
        step()
    gc.collect()
    if steps > 1:  # forget the peak so far: what compiling took is not what a step takes
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    step()
    # not ru_maxrss, which a child inherits from its parent
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    to.send(int(peak.split()[1]) * 1024)


def peak_memory(
    mode: Mode, config: ModelConfig, batch: Batch, threads: int, steps: int
) -> int | None:
    """Peak resident bytes of a step in a process of its own; None if that process dies."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_peak, args=(mode, config, batch, threads, steps, theirs))
    child.start()
    theirs.close()
    try:
        return int(ours.recv())
    except EOFError:
        return None
    finally:
        child.join()


# ---- one comparison ---------------------------------------------------------------------------


def compare(
    preset: str, tokens: int, threads: int, modes: list[Mode], rounds: int
) -> dict[str, Any]:
    """All modes on one preset, batch and number of threads, as plain JSON values."""
    config = config_of(preset)
    batch = documents(config, tokens)
    measured = [Measured(mode) for mode in modes]
    meter = Meter(threads)
    runners = [
        runner
        for entry in measured
        if (runner := warm_up(entry, config, batch, threads)) is not None
    ]

    def sample() -> None:
        time.sleep(SETTLE)
        for bound in {"fp32", *(mode.precision for mode in modes)}:
            meter.sample(bound, tries=3)

    others = Others()
    if runners:
        alternate(runners, rounds, sample)
    disturbed = others.share()
    limits = meter.limits(statistics.median)
    meter.close()
    runners.clear()
    gc.collect()
    for entry in measured:
        if entry.seconds:
            say(f"{entry.mode.name}: {entry.median:.3f} s a step; now its memory")
            steps = 1 if entry.slow else 3
            entry.peak_bytes = peak_memory(entry.mode, config, batch, threads, steps)
    flops = step_flops(config, batch)
    best = {p: best_of_torch(measured, p) for p in {mode.precision for mode in modes}}
    return {
        "preset": preset,
        "tokens": tokens,
        "documents": len(batch.offsets) - 1,
        "threads": threads,
        "step_flops": flops,
        "limits": asdict(limits),
        "taken_by_others": disturbed,
        "modes": [
            row(entry, tokens, flops, limits.arithmetic(entry.mode.precision),
                best[entry.mode.precision])
            for entry in measured
        ],
    }  # fmt: skip


def best_of_torch(measured: list[Measured], precision: str) -> Measured | None:
    """PyTorch's fastest mode of a precision, if it has any."""
    theirs = [m for m in measured if m.mode.tool != "vidya" and m.mode.precision == precision]
    theirs = [m for m in theirs if m.seconds]
    return min(theirs, key=lambda m: m.median) if theirs else None


def row(
    entry: Measured, tokens: int, flops: float, limit: float, best: Measured | None
) -> dict[str, Any]:
    """One mode's line."""
    mode = {"mode": entry.mode.name, **asdict(entry.mode)}
    if not entry.seconds:
        return {**mode, "missing": entry.missing}
    ours = entry.mode.tool == "vidya"
    memory = best.peak_bytes if best else None
    return {
        **mode,
        "rounds": len(entry.seconds),
        "slow": entry.slow,
        "seconds": entry.median,
        "fastest": min(entry.seconds),
        "slowest": max(entry.seconds),
        "all_seconds": entry.seconds,
        "tokens_per_s": tokens / entry.median,
        "gflops": flops / entry.median / 1e9,
        "limit": limit,
        "share": flops / entry.median / 1e9 / limit,
        "ratio_to_best": best.median / entry.median if best and ours else None,
        "best": best.mode.name if best and ours else None,
        "peak_bytes": entry.peak_bytes,
        "memory_to_best": entry.peak_bytes / memory if ours and memory and entry.peak_bytes
        else None,
    }  # fmt: skip


# ---- printing ---------------------------------------------------------------------------------

HEADER = (
    "preset", "tokens", "threads", "mode", "s/step", "fastest-slowest", "tok/s",
    "vidya / best", "share of limit", "peak GB", "memory / best",
)  # fmt: skip


def lines_of(result: dict[str, Any]) -> list[list[str]]:
    """A comparison's lines of the table."""
    lines = []
    for r in result["modes"]:
        line = [result["preset"], str(result["tokens"]), str(result["threads"]), r["mode"]]
        if r.get("missing"):
            lines.append([*line, f"not possible here: {r['missing']}", *["-"] * 6])
            continue
        rounds = f" ({r['rounds']} rounds)" if r["slow"] else ""
        lines.append(
            [
                *line,
                f"{r['seconds']:.3f}",
                f"{r['fastest']:.3f}-{r['slowest']:.3f}{rounds}",
                f"{r['tokens_per_s']:,.0f}",
                _or_dash(r["ratio_to_best"], ".2f"),
                f"{r['share']:.0%} of {r['limit']:.0f}",
                "-" if r["peak_bytes"] is None else f"{r['peak_bytes'] / 1e9:.2f}",
                _or_dash(r["memory_to_best"], ".2f"),
            ]
        )
    return lines


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def render(results: dict[str, Any]) -> str:
    """The whole report in Markdown."""
    slow = any(r.get("slow") for result in results["comparisons"] for r in result["modes"])
    parts = [
        f"```\n{results['command']}\n```",
        f"On {summary(results['machine'])}. Medians of {results['rounds']} alternating rounds; "
        "limits in GFLOP/s from the same run.",
        table(HEADER, [line for result in results["comparisons"] for line in lines_of(result)]),
    ]
    others = max((result["taken_by_others"] for result in results["comparisons"]), default=0.0)
    parts.append(
        f"Other programs took up to {others:.1%} of the cores during the rounds"
        + (": too much to compare by." if others > DISTURBED else ".")
    )
    if slow:
        parts.append(
            f"Modes with {SLOW_ROUNDS} rounds take more than {SLOW:.0f} times the fastest "
            "mode's step."
        )
    return "\n\n".join(parts) + "\n"


# ---- command line -----------------------------------------------------------------------------


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", nargs="+", default=["10m", "25m"], choices=list(PRESETS))
    parser.add_argument(
        "--tokens", nargs="+", default=["document", "4096"],
        help='tokens a step; "document" is one as long as the context',
    )  # fmt: skip
    cores = min(2, kernels.usable_cores())
    parser.add_argument("--threads", nargs="+", type=int, default=[cores])
    precisions = ["fp32", "bf16"]
    parser.add_argument("--precision", nargs="+", default=precisions, choices=precisions)
    tools = ["vidya", "eager", "compile"]
    parser.add_argument("--tools", nargs="+", default=tools, choices=tools)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the results here")
    parser.add_argument("--markdown", type=Path, help="write the table here")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the comparisons and print a table."""
    given = parse(arguments)
    if importlib.util.find_spec("torch") is None:
        print("error: PyTorch is not installed: pip install torch", file=sys.stderr)
        return 2
    modes = [Mode(tool, precision) for precision in given.precision for tool in given.tools]
    written = sys.argv[1:] if arguments is None else arguments
    results: dict[str, Any] = {
        "command": shlex.join(["python", "bench/versus_torch.py", *written]),
        "machine": describe(),
        "rounds": given.rounds,
        "comparisons": [],
    }
    for preset in given.preset:
        for tokens in given.tokens:
            count = config_of(preset).context if tokens == "document" else int(tokens)
            for threads in given.threads:
                say(f"{preset}, {count} tokens, {threads} threads")
                result = compare(preset, count, threads, modes, given.rounds)
                results["comparisons"].append(result)
                for line in lines_of(result):
                    say(" | ".join(line))
                if given.json:  # after each, so that an interrupted run keeps what it has
                    given.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    text = render(results)
    print(text, end="")
    if given.markdown:
        given.markdown.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
