"""The metrics file of a made-up run."""

import json
import math
import random


def run_lines(steps, evaluate=50, first=1):
    """The lines of a run, described at its beginning."""
    draw = random.Random(first)
    if first == 1:
        yield {"kind": "run", "options": {"steps": steps, "preset": "nano"}, "threads": 2}
    for step in range(first, steps + 1):
        line = {"step": step, "tokens": 500 * step, "time_s": step / 4, "lr": 1e-3}
        line |= {"loss": 2 + 4 * math.exp(-step / steps * 9) + draw.gauss(0, 0.1)}
        line |= {"grad_norm": 1.5, "tokens_per_s": 2000.0, "rss_bytes": 64_000_000}
        if step % 1000 == 7:
            line["spike"] = 12.5
        if step % 1000 == 11:
            line["checkpoint_stall_ms"] = step / 1e5
        yield line
        if step % evaluate == 0:
            held_out = {"val_loss": 3 + 1 / step, "val_bpb": 1 + 1 / step}
            yield {"step": step, "tokens": 500 * step, "time_s": step / 4, **held_out}


def write(path, lines, mode="w"):
    with open(path, mode) as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
