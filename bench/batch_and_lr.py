"""Which batch size and learning rate learn most in a fixed number of minutes.

    python bench/batch_and_lr.py --minutes 3 --tokens 256 1024 --lr 1e-3 3e-3

First the speed of a step at every batch size is measured, alternating between the
sizes in one run, in processor seconds of one thread (which the load of the machine
hardly changes). That gives the number of steps that each size makes in the given
minutes on `--threads` threads. Then every pair is trained for that many steps,
schedule included, and its held-out loss is printed. A training's result does not
depend on the load of the machine or on its threads, so the trainings themselves may
share the processor: `--jobs 2` runs two at a time with one thread each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

from vidya import kernels
from vidya.storage.metrics_log import read_metrics
from vidya.storage.run_folder import RunFolder
from vidya.training.options import TrainOptions
from vidya.training.run_corpora import prepare
from vidya.training.training_run import TrainingRun


def measure(given: argparse.Namespace) -> dict[int, tuple[float, float]]:
    """Seconds (on all threads) and tokens of a step, by batch size."""
    runs = {}
    with RunFolder(given.out / "speed") as folder:
        options = TrainOptions(preset=given.preset, data=tuple(given.data))
        corpora = prepare(folder, options, print, tokenizer_hash=None)
        for tokens in given.tokens:
            sized = TrainOptions(
                preset=given.preset, data=tuple(given.data), tokens_per_step=tokens
            )
            runs[tokens] = TrainingRun(folder, sized, corpora)
    kernels.set_num_threads(1)
    per_token: dict[int, list[float]] = {tokens: [] for tokens in given.tokens}
    for turn in range(given.rounds + 1):
        for tokens, run in runs.items():
            seen, start = 0, time.process_time()
            # about as long for every size, so that noise falls on all alike
            for step in range(max(1, max(given.tokens) // tokens)):
                batch = run.plan.batch(step)
                run.model.loss_and_gradients(batch, dropout_seed=0, step=step)
                run.optimizer.update(0.0, run.optimizer.gradient_norm())
                seen += len(batch.tokens)
            if turn:
                per_token[tokens].append((time.process_time() - start) / seen / given.threads)
    sizes = {
        tokens: run.plan.tokens_in_epoch / run.plan.steps_in_epoch(0)
        for tokens, run in runs.items()
    }
    return {t: (statistics.median(per_token[t]) * sizes[t], sizes[t]) for t in given.tokens}


def train(given: argparse.Namespace, tokens: int, lr: float, steps: int) -> float:
    """Held-out bits per byte after `steps` steps."""
    out = given.out / f"{tokens}_{lr:g}"
    command = [
        sys.executable, "-m", "vidya.train", "--preset", given.preset, "--out", str(out),
        "--tokens-per-step", str(tokens), "--lr", str(lr), "--steps", str(steps),
        "--eval-every", str(steps), "--eval-tokens", "65536", "--samples", "0",
        "--checkpoint-every", str(steps), "--overwrite",
        "--threads", str(given.threads if given.jobs == 1 else 1),
        *(["--data", *map(str, given.data)] if given.data else []),
    ]  # fmt: skip
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lines = [line for line in read_metrics(out / "metrics.jsonl") if "val_bpb" in line]
    return float(lines[-1]["val_bpb"])


def main() -> None:
    """Measure, train, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="10m")
    parser.add_argument("--data", nargs="*", type=Path, default=[])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--tokens", nargs="+", type=int, default=[256, 512, 1024, 4096])
    parser.add_argument("--lr", nargs="+", type=float, default=[1e-3, 3e-3])
    parser.add_argument("--threads", type=int, default=kernels.usable_cores())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/batch_and_lr"))
    given = parser.parse_args()
    speeds = measure(given)
    steps = {t: round(given.minutes * 60 / seconds) for t, (seconds, _) in speeds.items()}
    for t, (seconds, size) in speeds.items():
        print(
            f"{t} tokens a step: {seconds:.3f} s, {size / seconds:,.0f} tokens/s, {steps[t]} steps"
        )
    pairs = list(product(given.tokens, given.lr))
    with ThreadPoolExecutor(given.jobs) as pool:
        results = pool.map(lambda pair: train(given, *pair, steps[pair[0]]), pairs)
        print("| tokens a step | steps | peak lr | held-out bits per byte |\n|---|---|---|---|")
        table = []
        for (tokens, lr), bpb in zip(pairs, results, strict=True):
            print(f"| {tokens} | {steps[tokens]} | {lr:g} | {bpb:.4f} |", flush=True)
            table.append({"tokens": tokens, "lr": lr, "steps": steps[tokens], "val_bpb": bpb})
    (given.out / "results.json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
