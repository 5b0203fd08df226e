"""Tiny trainings: a corpus, the command as a process, and what it leaves on the disk."""

import contextlib
import json
import os
import random
import subprocess
import time
from pathlib import Path

from support.commands import TIMEOUT, command_line, run_command_process

from vidya.storage import checkpoint
from vidya.storage.checkpoint_folder import checkpoint_name

BASE = "microgpt_chat_10m_v5"
TINY = (
    "--n-embd 32 --n-layer 1 --n-head 1 --context 32 --merges 20 "
    "--tokens-per-step 64 --samples 1 --threads 1 --val-fraction 0.1"
).split()
PROGRESS = (
    "training a tokenizer", "tokenizer with ", "corpus ", "model ", "memory: ", "threads: ",
    "going on from ", "passing over ", "step ", "  ", "changed from ", "the learning rate ",
    "model:", "length:", "folder:",
)  # fmt: skip
"""What lines of a training's stderr begin with, the error apart."""
WORDS = "the cat dog sat on a mat hello how are you fine thanks what do like red tea".split()


def conversations(count, seed=1):
    """Lines of made-up small talk, no two alike."""
    draw = random.Random(seed)
    lines = {}
    while len(lines) < count:
        said, replied = (" ".join(draw.choices(WORDS, k=draw.randint(2, 9))) for _ in range(2))
        lines[f"<|user|> {said} <|assistant|> {replied}"] = None
    return list(lines)


def write_corpus(folder, count=120, name="small.txt"):
    path = Path(folder) / name
    path.write_text("".join(line + "\n" for line in conversations(count)))
    return path


def train(*arguments, cwd, status=0, **how):
    """Run `python -m vidya.train`; `how` is that of `run_command_process`."""
    done = run_command_process("train", *arguments, cwd=cwd, **how)
    assert done.returncode == status, f"exit status {done.returncode}\n{done.stderr}{done.stdout}"
    return done


def refused(*arguments, cwd, **how):
    """The one line of error with which the command ends; nothing but progress precedes it."""
    done = train(*arguments, cwd=cwd, status=2, **how)
    *before, last = done.stderr.splitlines()
    assert last.startswith("error: "), done.stderr
    assert [line for line in before if not line.startswith(PROGRESS)] == [], done.stderr
    assert done.stdout == ""
    return last


@contextlib.contextmanager
def running(*arguments, cwd):
    """A training in the background, killed at the end of the block if it is still there."""
    process = subprocess.Popen(
        command_line("train", *arguments), cwd=cwd, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for_step(process, run, step):
    """Return as soon as the metrics of `step` are there (or the process has ended)."""
    end = time.monotonic() + TIMEOUT
    while last_step(run) < step:
        assert time.monotonic() < end, f"no step {step} within {TIMEOUT} s"
        if process.poll() is not None:
            return
        time.sleep(0.001)


def last_step(run):
    try:
        lines = (Path(run) / "metrics.jsonl").read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return -1
    return json.loads(lines[-1]).get("step", -1) if lines else -1


def lines_of(run):
    with open(Path(run) / "metrics.jsonl", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def training_lines(run):
    return [line for line in lines_of(run) if "loss" in line]


def evaluation_lines(run):
    return [line for line in lines_of(run) if "val_loss" in line]


def curve(run):
    """What must not depend on time or threads: every line's losses, rates and norms, in order."""
    times = {"tokens_per_s", "time_s", "rss_bytes", "checkpoint_stall_ms"}
    return [
        {key: value for key, value in line.items() if key not in times}
        for line in lines_of(run)
        if "step" in line
    ]


def weights(run, step=None):
    """Names and bytes of a checkpoint's tensors; the final weights by default."""
    tensors, _ = checkpoint.load(Path(run) / checkpoint_name(BASE, step))
    return {name: values.tobytes() for name, values in tensors.items()}


def snapshot(folder):
    """Contents of all files in a folder, but for the lock, which names the last process."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def checkpoints(run):
    return {path.name for path in Path(run).glob("*.bin")}


def is_root():
    return os.geteuid() == 0
