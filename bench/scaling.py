"""How a step's time grows: with its tokens, and with the length of its documents.

    python bench/scaling.py [--preset 25m] [--precision fp32 bf16] [--threads 2]
        [--rounds 5] [--json FILE] [--png docs/images/scaling.png]

Steps of 512 to 16,384 tokens in documents as long as the context, and steps of 4,096
tokens in documents of 16 tokens up to the context, alternating in one run, medians over
the rounds. A straight line (fixed cost + cost a token) is fitted to the first, in
relative errors; of the second, the cost a token is compared with the longest documents'.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import Others, describe, summary
from report import table
from steps import SETTLE, Training, config_of, documents, timed

from vidya import kernels
from vidya.model.presets import PRESETS
from vidya.text.batch_plan import Batch

SIZES = (512, 1024, 2048, 4096, 8192, 16384)
FIXED = 4096
LENGTHS = (16, 32, 64, 128, 256, 512)
ALLOWED = 1.15
"""Cost a token of short documents over that of long ones."""

Key = tuple[int, int]
"""Tokens a step, tokens a document."""


def keys(context: int, sizes: list[int], fixed: int) -> list[Key]:
    """What is measured, without repetition."""
    lengths = [length for length in LENGTHS if length <= context]
    wanted = [(size, min(size, context)) for size in sizes]
    wanted += [(fixed, length) for length in lengths]
    return list(dict.fromkeys(wanted))


def measure(
    preset: str, precision: str, threads: int, wanted: list[Key], rounds: int
) -> dict[Key, list[float]]:
    """Seconds of a step in every round, by tokens and document length."""
    config = config_of(preset)
    batches: dict[Key, Batch] = {key: documents(config, *key) for key in wanted}
    training = Training(config, max(tokens for tokens, _ in wanted), precision)
    training.step(batches[max(wanted)], threads)  # touches all memory
    seconds: dict[Key, list[float]] = {key: [] for key in wanted}
    for number in range(rounds):
        for key in wanted if number % 2 == 0 else reversed(wanted):
            time.sleep(SETTLE)
            batch = batches[key]
            seconds[key].append(timed(lambda b=batch: training.step(b, threads)))  # type: ignore[misc]
    return seconds


def fit(sizes: list[int], seconds: list[float]) -> tuple[float, float, float]:
    """Fixed seconds, seconds a token, and the largest relative distance from that line."""
    x, y = np.array(sizes, float), np.array(seconds)
    design = np.stack([np.ones_like(x), x], 1) / y[:, None]
    fixed, each = np.linalg.lstsq(design, np.ones_like(y), rcond=None)[0]
    return float(fixed), float(each), float(np.abs((fixed + each * x) / y - 1).max())


def evaluate(
    preset: str, precision: str, threads: int, sizes: list[int], seconds: dict[Key, list[float]]
) -> dict[str, Any]:
    """What one precision's measurements say, as plain JSON values."""
    context = config_of(preset).context
    medians = {key: statistics.median(values) for key, values in seconds.items()}
    by_size = [medians[size, min(size, context)] for size in sizes]
    fixed, each, distance = fit(sizes, by_size)
    lengths = sorted(length for tokens, length in medians if tokens == FIXED)
    costs = [medians[FIXED, length] / FIXED for length in lengths]
    return {
        "preset": preset,
        "precision": precision,
        "threads": threads,
        "sizes": sizes,
        "seconds": by_size,
        "fixed_seconds": fixed,
        "seconds_a_token": each,
        "largest_distance_from_line": distance,
        "lengths": lengths,
        "seconds_a_token_by_length": costs,
        "short_to_long": [cost / costs[-1] for cost in costs],
        "all_seconds": {f"{t} tokens, documents of {n}": v for (t, n), v in seconds.items()},
    }


def render(results: dict[str, Any]) -> str:
    """The tables in Markdown."""
    parts = [
        f"```\n{results['command']}\n```",
        f"On {summary(results['machine'])}. Other programs took "
        f"{results['taken_by_others']:.1%} of the cores.",
    ]
    for r in results["curves"]:
        parts.append(
            f"{r['preset']} {r['precision']}, {r['threads']} threads, medians of "
            f"{results['rounds']} rounds. A step takes {r['fixed_seconds'] * 1e3:.0f} ms + "
            f"{r['seconds_a_token'] * 1e6:.0f} µs a token, all sizes within "
            f"{r['largest_distance_from_line']:.1%} of that."
        )
        rows = zip(r["sizes"], r["seconds"], strict=True)
        parts.append(
            table(
                ("tokens a step", "s", "tok/s"),
                ((f"{size:,}", f"{s:.3f}", f"{size / s:,.0f}") for size, s in rows),
            )
        )
        costs = zip(r["lengths"], r["seconds_a_token_by_length"], r["short_to_long"], strict=True)
        parts.append(
            table(
                (f"tokens a document, {FIXED:,} a step", "tok/s", "cost a token / longest's"),
                ((length, f"{1 / cost:,.0f}", f"{ratio:.2f}") for length, cost, ratio in costs),
            )
        )
    return "\n\n".join(parts) + "\n"


def draw(curves: list[dict[str, Any]], path: Path) -> None:
    """Both curves of every precision in one picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    by_tokens, by_length = figure.subplots(1, 2)
    colours = {"fp32": "#0072B2", "bf16": "#D55E00"}
    for r in curves:
        colour, x = colours[r["precision"]], np.array([0, max(r["sizes"])])
        label = f"{r['precision']}: {r['seconds_a_token'] * 1e6:.0f} µs a token"
        by_tokens.plot(r["sizes"], r["seconds"], "o", color=colour, label=label)
        by_tokens.plot(x, r["fixed_seconds"] + r["seconds_a_token"] * x, color=colour, alpha=0.5)
        costs = np.array(r["seconds_a_token_by_length"]) * 1e6
        by_length.plot(r["lengths"], costs, "o-", color=colour, label=r["precision"])
        by_length.axhline(ALLOWED * costs[-1], color=colour, linestyle=":", alpha=0.7)
    first = curves[0]
    by_tokens.set(
        xlabel="tokens a step", ylabel="seconds a step",
        title=f"{first['preset']}, {first['threads']} threads",
    )  # fmt: skip
    by_length.set(
        xlabel="tokens a document", ylabel="µs a token", xscale="log", ylim=(0, None),
        title=f"{FIXED:,} tokens a step; dotted: 15 % above the longest's",
    )  # fmt: skip
    by_length.set_xticks(first["lengths"], [str(length) for length in first["lengths"]])
    by_length.minorticks_off()
    for panel in (by_tokens, by_length):
        panel.grid(alpha=0.3)
        panel.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the tables, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="25m", choices=list(PRESETS))
    precisions = ["fp32", "bf16"]
    parser.add_argument("--precision", nargs="+", default=precisions, choices=precisions)
    parser.add_argument("--threads", type=int, default=min(2, kernels.usable_cores()))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--json", type=Path, help="write the results here")
    parser.add_argument("--markdown", type=Path, help="write the tables here")
    parser.add_argument("--png", type=Path, default=Path("docs/images/scaling.png"))
    given = parser.parse_args(arguments)
    wanted = keys(config_of(given.preset).context, given.sizes, FIXED)
    curves, others = [], Others()
    for precision in given.precision:
        seconds = measure(given.preset, precision, given.threads, wanted, given.rounds)
        curves.append(evaluate(given.preset, precision, given.threads, given.sizes, seconds))
    written = sys.argv[1:] if arguments is None else arguments
    results = {
        "command": shlex.join(["python", "bench/scaling.py", *written]),
        "machine": describe(),
        "rounds": given.rounds,
        "taken_by_others": others.share(),
        "curves": curves,
    }
    text = render(results)
    print(text, end="")
    if given.json:
        given.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if given.markdown:
        given.markdown.write_text(text, encoding="utf-8")
    draw(curves, given.png)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
