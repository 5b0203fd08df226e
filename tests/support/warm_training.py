"""Training steps that have warmed up; as a program, the memory pages that such steps take."""

import contextlib
import ctypes
import json
import resource
import sys
from pathlib import Path

import numpy as np
from support.training_runs import conversations

from vidya.storage.metrics_log import MetricsWriter
from vidya.storage.run_folder import RunFolder
from vidya.system import process_memory
from vidya.terminal.progress_display import ProgressDisplay
from vidya.training.options import TrainOptions
from vidya.training.run_corpora import prepare
from vidya.training.thread_choice import use
from vidya.training.trainer import Trainer
from vidya.training.training_run import TrainingRun

CONTEXT, WIDTH, TOKENS = 32, 64, 2048
BUFFER = 4 * TOKENS * WIDTH
"""Bytes of the smallest array [tokens, width]."""


@contextlib.contextmanager
def warm_training(folder):
    """A trainer and its step, which was made five times: on batches of the run."""
    (folder / "small.txt").write_text("\n".join(conversations(600)))
    options = TrainOptions(
        data=(folder / "small.txt",), out=folder / "run", val_fraction=0.1, merges=20,
        n_embd=WIDTH, n_layer=2, n_head=2, context=CONTEXT, tokens_per_step=TOKENS, samples=0,
        threads=1, steps=1000, eval_every=1000, checkpoint_every=1000,
    )  # fmt: skip
    use(1)
    with RunFolder(options.out) as folder:
        corpora = prepare(folder, options, lambda _: None, tokenizer_hash=None)
        run = TrainingRun(folder, options, corpora)
        with MetricsWriter(folder.metrics) as log, ProgressDisplay(1000, 0) as display:
            step = Trainer(run, log, display).step
            for _ in range(5):
                step()
            yield run, step


def pages_of(step, steps=20):
    """Pages that the system had to find while the steps were made, and bytes that stayed."""
    rss = process_memory.resident_bytes()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        step()
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return {"faults": faults, "grown": process_memory.resident_bytes() - rss}


def main():
    # a huge page would be one fault for 512 small ones
    PR_SET_THP_DISABLE = 41
    if ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0):
        raise OSError("huge pages could not be switched off")
    with warm_training(Path(sys.argv[1])) as (made, step):
        found = {"own": min((pages_of(step) for _ in range(3)), key=lambda one: one["faults"])}
        norm, leaked = made.optimizer.gradient_norm, []
        made.optimizer.gradient_norm = lambda: (leaked.append(np.ones(BUFFER, np.uint8)), norm())[1]
        found["leaking"] = pages_of(step)
        made.optimizer.gradient_norm = lambda: (np.ones(BUFFER, np.uint8), norm())[1]
        found["taking"] = pages_of(step)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
