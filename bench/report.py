"""pytest-benchmark's JSON as tables: kernels beside their limits, steps by threads.

python bench/report.py build/bench.json [--out build/bench.md]
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from machine import summary

from vidya.training.thread_choice import Timing, fastest

Row = dict[str, Any]


def table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    names = list(header)
    lines = [names, ["---"] * len(names), *([str(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def kernel_table(rows: list[Row]) -> str:
    """One line a kernel, shape and number of threads."""
    header = ("kernel", "shape", "threads", "rate", "limit", "share", "data in")
    return table(
        header,
        (
            (
                row["kernel"], row["shape"], row["threads"], f"{row['rate']:.1f} {row['unit']}",
                f"{row['limit']:.1f} {row['bound']}", f"{row['share']:.0%}", row["where"],
            )
            for row in rows
        ),
    )  # fmt: skip


def step_table(rows: list[Row]) -> str:
    """One line a preset, precision and batch: its threads side by side."""
    threads = sorted({row["threads"] for row in rows})
    groups: dict[tuple[str, str, int], dict[int, Row]] = {}
    for row in rows:
        key = row["preset"], row["precision"], row["tokens"]
        groups.setdefault(key, {})[row["threads"]] = row
    header = [
        "preset", "precision", "tokens",
        *(f"{n} thr tok/s" for n in threads),
        *(f"{n} thr share" for n in threads),
        *(f"time {many} / {few} thr" for few, many in itertools.pairwise(threads)),
        "choice",
    ]  # fmt: skip
    lines = []
    for key, by_threads in groups.items():
        line = [str(part) for part in key]
        line += [_cell(by_threads, n, "tokens_per_s", ",.0f") for n in threads]
        line += [_cell(by_threads, n, "share", ".0%") for n in threads]
        for few, many in itertools.pairwise(threads):
            both = few in by_threads and many in by_threads
            ratio = by_threads[many]["seconds"] / by_threads[few]["seconds"] if both else None
            line.append("-" if ratio is None else f"{ratio:.2f}")
        timings = [Timing(n, row["seconds"]) for n, row in by_threads.items()]
        line.append(f"{fastest(timings)} thr")
        lines.append(line)
    return table(header, lines)


def _cell(by_threads: dict[int, Row], threads: int, key: str, form: str) -> str:
    return format(by_threads[threads][key], form) if threads in by_threads else "-"


def render(results: dict[str, Any]) -> str:
    """The whole report from what pytest-benchmark wrote."""
    rows = [entry["extra_info"] for entry in results["benchmarks"]]
    kernels = [row for row in rows if "kernel" in row]
    steps = [row for row in rows if "preset" in row]
    machine = results.get("machine_info", {}).get("vidya")
    parts = [f"On {summary(machine)}."] if machine else []
    if steps:
        parts += ["Training steps, medians; share of the arithmetic limit:", step_table(steps)]
    if kernels:
        parts += ["Kernels, medians; fp32 and bf16 in GFLOP/s, read and write in GB/s:",
                  kernel_table(kernels)]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Print the report, and write it to a file if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(arguments)
    try:
        text = render(json.loads(given.results.read_text(encoding="utf-8")))
    except (OSError, ValueError, LookupError, TypeError) as error:
        print(f"error: {given.results} is no result of `make bench`: {error}", file=sys.stderr)
        return 2
    print(text, end="")
    if given.out:
        given.out.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
