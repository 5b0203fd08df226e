"""Preflight's checks of the machine and the text: kernels, tokenizer, threads, memory, disk."""

from __future__ import annotations

import dataclasses
import math
import shutil

import numpy as np

from vidya import kernels
from vidya.model.precision import resolve_precision
from vidya.planning import trial_run
from vidya.planning.preflight_run import CheckedRun, fail_unless
from vidya.planning.run_plan import disk_bytes
from vidya.system import process_memory
from vidya.system.scratch_folder import existing_parent
from vidya.terminal.formatting import byte_size
from vidya.text.tokenizer import Tokenizer
from vidya.text.tokenizer_training import train_tokenizer
from vidya.training import thread_choice

PREVIOUS_MERGES = 2000
"""Merges of the tokenizer to compare with: the 10m preset's."""
ROUND_TRIPS = 200
"""Documents that must come back from the tokenizer as they were."""
MEMORY_MARGIN = 1.10
"""A training may take this many times what was estimated."""


def extension(checked: CheckedRun) -> str:
    """The compiled kernels load, multiply as NumPy does, and say what they run on."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((96, 200), np.float32), rng.standard_normal((72, 200), np.float32)
    there = x.astype(np.float64) @ w.T.astype(np.float64)
    for name, product in (("matmul", kernels.matmul(x, w)), ("linear", kernels.linear(x, w))):
        off = float(np.abs(product - there).max())
        fail_unless(off < 1e-3, f"{name} of the kernels is off by {off:.3g}")
    precision = resolve_precision(checked.options.precision)
    blas = " ".join(kernels.openblas_config().split()[:2])
    return f"built; {kernels.get_isa()}, {blas}, precision {precision}"


def tokenizer(checked: CheckedRun) -> str:
    """The tokenizer learns, survives its file, gives text back, and beats the one before."""
    made = checked.corpora.tokenizer
    again = Tokenizer.load(checked.folder.tokenizer)
    texts = [text for text, _ in zip(checked.sources.train.documents(), range(ROUND_TRIPS))]  # noqa: B905
    fail_unless(again.hash == made.hash, "the tokenizer that was read back is another one")
    for text in texts:
        ids = made.encode_text(text)
        fail_unless(
            again.encode_text(text) == ids, f"read back, it encodes {text[:40]!r} otherwise"
        )
        fail_unless(again.decode(ids) == text, f"{text[:40]!r} does not come back from its tokens")
    most = 256 + 3 + checked.options.n_merges()
    fail_unless(made.vocab_size <= most, f"{made.vocab_size} tokens are more than {most}")
    old, old_name = _previous_tokenizer(checked)
    ours, theirs = _characters_per_token(made, texts), _characters_per_token(old, texts)
    fail_unless(
        made.vocab_size <= old.vocab_size or ours > theirs,
        f"{made.vocab_size:,} tokens give {ours:.3f} characters per token, the "
        f"{old.vocab_size:,} of {old_name} {theirs:.3f}",
    )
    return (
        f"{made.vocab_size:,} tokens, {ours:.2f} characters per token; {old_name}: "
        f"{old.vocab_size:,}, {theirs:.2f}"
    )


def _previous_tokenizer(checked: CheckedRun) -> tuple[Tokenizer, str]:
    """The tokenizer to compare with, and what it is called."""
    if checked.previous is not None:
        return Tokenizer.load(checked.previous), str(checked.previous)
    merges = min(PREVIOUS_MERGES, checked.options.n_merges() // 2)
    return train_tokenizer(checked.sources.train.documents(), merges), f"{merges:,} merges"


def _characters_per_token(made: Tokenizer, texts: list[str]) -> float:
    tokens = sum(len(made.encode_marked(text)) for text in texts)
    return sum(map(len, texts)) / max(1, tokens)


def threads(checked: CheckedRun) -> str:
    """Steps at each number of threads give the same bits; the fastest is what is used."""
    run, counts = checked.run, thread_choice.candidates(kernels.usable_cores())
    batch = run.longest_batch()
    results = set()
    for count in counts:
        kernels.set_num_threads(count)
        results.add((run.gradients(batch), run.optimizer.gradient_norm()))
    fail_unless(len(results) == 1, f"the loss depends on the number of threads: {sorted(results)}")
    timings = thread_choice.time_threads(lambda: run.gradients(batch), counts)
    asked = checked.options.threads
    number = asked if isinstance(asked, int) else thread_choice.fastest(timings)
    kernels.set_num_threads(number)
    listed = ", ".join(f"{t.threads}: {t.seconds * 1e3:,.0f} ms" for t in timings)
    return f"{number} used; a pass over {len(batch.tokens)} tokens, {listed}; same bits"


def memory_of_a_step(checked: CheckedRun) -> str:
    """The longest step, an evaluation and a checkpoint, in a process of their own."""
    _ = checked.corpora  # prepared here, opened there
    free = process_memory.available_bytes()
    options = dataclasses.replace(checked.options, threads=kernels.get_num_threads())
    checked.folder.release()  # the trial takes the folder's lock
    try:
        taken = trial_run.run_trial(options, checked.folder.path, None).memory
    finally:
        checked.folder.acquire()
    planned = taken.planned.total
    fail_unless(
        taken.run <= MEMORY_MARGIN * planned,
        f"it took {byte_size(taken.run)}, {taken.run / planned:.0%} of the {byte_size(planned)} "
        "estimated",
    )
    fail_unless(
        free is None or taken.run <= free,
        f"it takes {byte_size(taken.run)} and this machine has only {byte_size(free or 0)} left",
    )
    return (
        f"peak {byte_size(taken.step)} in a step, {byte_size(taken.run)} with evaluation and "
        f"checkpoint ({taken.run / planned:.0%} of the {byte_size(planned)} estimated); "
        f"{'unknown' if free is None else byte_size(free)} free"
    )


def disk(checked: CheckedRun) -> str:
    """All checkpoints of the run fit where it will write them."""
    options = checked.options
    run = checked.run
    steps = options.steps or math.ceil(options.passes * run.plan.steps_in_epoch(0))
    count = run.model.config.parameter_count()
    caches = sum(path.stat().st_size for path in checked.folder.token_caches())
    needed = disk_bytes(options, count, steps) + caches
    where = existing_parent(options.folder())
    free = shutil.disk_usage(where).free
    fail_unless(
        needed <= free, f"{byte_size(needed)} are needed and {byte_size(free)} are free in {where}"
    )
    return f"{byte_size(needed)} for {steps:,} steps, {byte_size(free)} free in {where}"
