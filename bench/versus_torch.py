"""vidya and PyTorch side by side: whole training steps, alternating in one run.

    pip install torch
    python bench/versus_torch.py [--preset 10m 25m] [--tokens 512 4096] [--threads 1 2]

Both train the same architecture on the same tokens: forward, backward, clipping at
norm 1, Adam; dropout 0.1. A round is one step of each; medians over the rounds.
Peak memory is that of a process that runs only the one of them.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vidya.batches import Batch
from vidya.config import ModelConfig, preset


def documents(config: ModelConfig, tokens: int, seed: int = 0) -> Batch:
    """Random ids in documents as long as the context (or one shorter document)."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, config.vocab_size, tokens + 1).astype(np.int32)
    length = min(tokens, config.context)
    if tokens % length:
        raise SystemExit(f"--tokens must be a multiple of the context, {config.context}")
    return Batch(ids[:-1].copy(), ids[1:].copy(), np.arange(0, tokens + 1, length, dtype=np.int64))


def vidya_step(config: ModelConfig, batch: Batch, threads: int) -> Callable[[], float]:
    """A training step of vidya; returns the loss."""
    from vidya import kernels
    from vidya.model import Model
    from vidya.optimizer import Adam

    model = Model(config, max_tokens=len(batch.tokens))
    model.init(0)
    optimizer = Adam(model)

    def step() -> float:
        kernels.set_num_threads(threads)
        loss = model.loss_and_gradients(batch, dropout_seed=0, step=optimizer.steps)
        optimizer.update(1e-4, optimizer.gradient_norm())
        return loss

    return step


def torch_step(
    config: ModelConfig, batch: Batch, threads: int, compiled: bool
) -> Callable[[], float]:
    """A training step of PyTorch; returns the loss."""
    import torch
    from torch_model import TorchModel

    model: Any = TorchModel(config)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    length = int(batch.offsets[1])
    tokens = torch.from_numpy(batch.tokens).long().view(-1, length)
    targets = torch.from_numpy(batch.targets).long().view(-1, length)
    run = torch.compile(model) if compiled else model

    def step() -> float:
        torch.set_num_threads(threads)
        loss = run(tokens, targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return float(loss.detach())

    return step


def make_step(name: str, config: ModelConfig, batch: Batch, threads: int) -> Callable[[], float]:
    """The step called "vidya", "eager" or "compile"."""
    if name == "vidya":
        return vidya_step(config, batch, threads)
    return torch_step(config, batch, threads, compiled=name == "compile")


def _peak(name: str, config: ModelConfig, batch: Batch, threads: int, pipe: Any) -> None:
    step = make_step(name, config, batch, threads)
    for _ in range(3):
        step()
    # not ru_maxrss, which a child inherits from its parent
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    pipe.send(int(peak.split()[1]) * 1024)


def peak_memory(name: str, config: ModelConfig, batch: Batch, threads: int) -> int:
    """Peak resident bytes of a process that makes three steps."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_peak, args=(name, config, batch, threads, theirs))
    child.start()
    peak = int(ours.recv())
    child.join()
    return peak


def compare(
    preset_name: str, tokens: int, threads: int, names: list[str], rounds: int
) -> dict[str, Any]:
    """Median seconds a step of each, from alternating rounds, and peak memory."""
    size = preset(preset_name)
    config = size.model(256 + 3 + size.merges, 0.1)
    batch = documents(config, tokens)
    steps = {name: make_step(name, config, batch, threads) for name in names}
    for step in steps.values():
        step()
        step()
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    best = min(seconds for name, seconds in medians.items() if name != "vidya")
    return {
        "preset": preset_name,
        "tokens": tokens,
        "threads": threads,
        "precision": "fp32",
        "seconds": medians,
        "tokens_per_s": {name: tokens / seconds for name, seconds in medians.items()},
        "ratio_to_best": best / medians["vidya"],
        "ratio_to_eager": medians["eager"] / medians["vidya"],
        "peak_bytes": {name: peak_memory(name, config, batch, threads) for name in names},
    }


def main() -> None:
    """Run the comparisons and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", nargs="+", default=["10m", "25m"])
    parser.add_argument("--tokens", nargs="+", type=int, default=[512, 4096])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--compile", action="store_true", help="torch.compile too")
    parser.add_argument("--json", type=Path, help="write the results here")
    given = parser.parse_args()
    names = ["vidya", "eager", *(["compile"] if given.compile else [])]
    results = []
    print("| preset | tokens | threads | " + " | ".join(f"{n} tok/s" for n in names), end="")
    print(" | vidya / eager | vidya / best | " + " | ".join(f"{n} GB" for n in names) + " |")
    print("|" + "---|" * (5 + 2 * len(names)))
    for preset_name in given.preset:
        for tokens in given.tokens:
            for threads in given.threads:
                r = compare(preset_name, tokens, threads, names, given.rounds)
                results.append(r)
                speeds = " | ".join(f"{r['tokens_per_s'][n]:,.0f}" for n in names)
                memory = " | ".join(f"{r['peak_bytes'][n] / 1e9:.2f}" for n in names)
                ratios = f"{r['ratio_to_eager']:.2f} | {r['ratio_to_best']:.2f}"
                print(
                    f"| {preset_name} | {tokens} | {threads} | {speeds} | {ratios} | {memory} |",
                    flush=True,
                )
    if given.json:
        given.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
