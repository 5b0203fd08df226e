"""Preflight's checks: one small function for each thing that must be true before a long run.

Each does something for real with the run's own corpora, model and files, in a temporary
folder, returns a line with the figure that it found, and raises if that is not as it must
be: `CheckFailed`, or whatever the part that is broken raises.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidya import kernels
from vidya.model import config, presets
from vidya.model.initialisation import expected_first_loss, initial_std
from vidya.model.parameters import parameter_parts
from vidya.model.precision import resolve_precision
from vidya.model.transformer import Model
from vidya.planning import trial_run
from vidya.storage import checkpoint
from vidya.storage.checkpoint_format import CheckpointError
from vidya.storage.run_folder import RunFolder
from vidya.system import process_memory
from vidya.system.scratch_folder import existing_parent
from vidya.terminal.formatting import byte_size
from vidya.text.tokenizer import Tokenizer
from vidya.text.tokenizer_training import train_tokenizer
from vidya.training import disk_plan, thread_choice
from vidya.training.options import TrainOptions
from vidya.training.run_checkpoints import RunCheckpoints
from vidya.training.run_corpora import CorpusSources, RunCorpora, prepare
from vidya.training.training_run import TrainingRun

MEMORY_MARGIN = 1.10
"""A training may take this many times what was estimated."""

SIGMAS = 6.0
"""Standard errors that a standard deviation of the first weights may be off."""
FIRST_LOSS_BAND = 1.25
"""Nats around the expected first loss; real text repeats itself, which takes a little off."""
STEPS = 20
LEAST_FALL = 0.01
"""Share of the loss that must be gone after `STEPS` steps."""
MORE_STEPS = 2
"""Steps that a resumed run must take as the one that was never stopped."""


class CheckFailed(Exception):
    """Something is not as it must be; the message says what."""


def fail_unless(condition: bool, what: str) -> None:
    """Raise `CheckFailed` with `what` unless the condition holds."""
    if not condition:
        raise CheckFailed(what)


@dataclass
class CheckedRun:
    """The run that is checked. What is costly is made once, when first asked for."""

    options: TrainOptions
    sources: CorpusSources
    folder: RunFolder
    """A temporary one."""
    previous: Path | None
    """Tokenizer to compare with."""
    say: Callable[[str], None]

    @functools.cached_property
    def corpora(self) -> RunCorpora:
        """Tokenizer and token caches, prepared as a training does."""
        return prepare(
            self.folder, self.options, self.say, tokenizer_hash=None, sources=self.sources
        )

    @functools.cached_property
    def run(self) -> TrainingRun:
        """The run itself, before its first step."""
        return TrainingRun(self.folder, self.options, self.corpora)


def extension(checked: CheckedRun) -> str:
    """The compiled kernels load, multiply as NumPy does, and say what they run on."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((96, 200), np.float32), rng.standard_normal((72, 200), np.float32)
    there = x.astype(np.float64) @ w.T.astype(np.float64)
    for name, product in (("matmul", kernels.matmul(x, w)), ("linear", kernels.linear(x, w))):
        off = float(np.abs(product - there).max())
        fail_unless(off < 1e-3, f"{name} of the kernels is off by {off:.3g}")
    blas = " ".join(kernels.openblas_config().split()[:2])
    precision = resolve_precision(checked.options.precision)
    return f"built; {kernels.get_isa()}, {blas}, precision {precision}"


def tokenizer(checked: CheckedRun) -> str:
    """The tokenizer learns, survives its file, gives text back, and beats the one before."""
    made = checked.corpora.tokenizer
    again = Tokenizer.load(checked.folder.tokenizer)
    texts = list(itertools.islice(checked.sources.train.documents(), 200))
    fail_unless(again.hash == made.hash, "the tokenizer that was read back is another one")
    for text in texts:
        ids = made.encode_text(text)
        fail_unless(
            again.encode_text(text) == ids, f"read back, it encodes {text[:40]!r} otherwise"
        )
        fail_unless(again.decode(ids) == text, f"{text[:40]!r} does not come back from its tokens")
    most = 256 + 3 + checked.options.n_merges()
    fail_unless(made.vocab_size <= most, f"{made.vocab_size} tokens are more than {most}")
    if checked.previous is not None:
        old, old_name = Tokenizer.load(checked.previous), str(checked.previous)
    else:
        merges = min(presets.PRESETS["10m"].merges, checked.options.n_merges() // 2)
        old = train_tokenizer(
            checked.sources.train.documents(), merges, split_digits=made.splits_digits
        )
        old_name = f"{merges:,} merges"
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
    planned, took = taken.planned.total, byte_size(taken.run)
    estimate = f"{taken.run / planned:.0%} of the {byte_size(planned)} estimated"
    fail_unless(taken.run <= MEMORY_MARGIN * planned, f"it took {took}, {estimate}")
    left = "unknown" if free is None else byte_size(free)
    fail_unless(
        free is None or taken.run <= free, f"it takes {took} and this machine has only {left} left"
    )
    return (
        f"peak {byte_size(taken.step)} in a step, {took} with evaluation and checkpoint "
        f"({estimate}); {left} free"
    )


def disk(checked: CheckedRun) -> str:
    """All checkpoints of the run fit where it will write them."""
    options, run = checked.options, checked.run
    steps = options.steps or math.ceil(options.passes * run.plan.steps_in_epoch(0))
    count = run.model.config.parameter_count()
    caches = sum(path.stat().st_size for path in checked.folder.token_caches())
    every = options.checkpoint_steps(steps)
    needed = disk_plan.run_bytes(count, steps, every, options.keep) + caches
    where = existing_parent(options.folder())
    free = shutil.disk_usage(where).free
    fail_unless(
        needed <= free, f"{byte_size(needed)} are needed and {byte_size(free)} are free in {where}"
    )
    return f"{byte_size(needed)} for {steps:,} steps, {byte_size(free)} free in {where}"


def parameters(checked: CheckedRun) -> str:
    """The model has as many numbers as the arithmetic says, each of them in a named matrix."""
    made, parts = checked.run.model, parameter_parts(checked.run.model.config)
    named, expected = sum(view.size for view in made.parameters.values()), sum(parts.values())
    fail_unless(
        named == made.flat.size == expected,
        f"the model holds {made.flat.size:,} numbers, {named:,} of them named; the "
        f"arithmetic says {expected:,}",
    )
    listed = ", ".join(f"{name} {count:,}" for name, count in parts.items())
    return f"{named:,} ({named / 1e6:.1f} M): {listed}"


def initialisation(checked: CheckedRun) -> str:
    """Matrices have the standard deviations of the run's recipe and options, gains are 1."""
    made = checked.run.model
    stds = checked.run.options.initial_stds(made.config)
    for name, values in made.parameters.items():
        if name.endswith("norm"):
            fail_unless(bool((values == 1).all()), f"{name} is not 1 everywhere")
            continue
        wanted = initial_std(name, stds)
        std, mean = float(values.std(dtype=np.float64)), float(values.mean(dtype=np.float64))
        slack = SIGMAS / math.sqrt(2 * values.size)
        fail_unless(
            abs(std / wanted - 1) < slack and abs(mean) < SIGMAS * wanted / math.sqrt(values.size),
            f"{name} has std {std:.5f} and mean {mean:.5f}, not {wanted:.5f} and 0",
        )
    return (
        f"std of the embedding {stds.embedding:.4g}, of residual outputs {stds.residual:.4g}, of "
        f"others {stds.hidden:.4g} (recipe {checked.run.options.recipe_name()})"
    )


def loss_at_step_0(checked: CheckedRun) -> str:
    """The loss of the first step is finite, and where this initialisation puts it."""
    run = checked.run
    config = run.model.config
    loss = run.gradients(run.plan.batch(0))
    expected = expected_first_loss(config, run.options.initial_stds(config))
    uniform = math.log(config.vocab_size)
    fail_unless(
        math.isfinite(loss) and abs(loss - expected) <= FIRST_LOSS_BAND,
        f"the loss is {loss:.4f}, and this initialisation puts it near {expected:.2f}",
    )
    return (
        f"{loss:.4f} (this initialisation: {expected - FIRST_LOSS_BAND:.1f} to "
        f"{expected + FIRST_LOSS_BAND:.1f}; all tokens alike: {uniform:.2f})"
    )


def loss_falls(checked: CheckedRun) -> str:
    """The loss falls in 20 steps at the peak rate, looked at on text that they did not see."""
    made = checked.run
    unseen = made.plan.batch(min(STEPS, made.plan.steps_in_epoch(0) - 1))

    def mean_loss() -> float:
        return float(made.model.losses(unseen).mean(dtype=np.float64))

    before = mean_loss()
    for _ in range(STEPS):
        take_step(made)
    after = mean_loss()
    fail_unless(
        math.isfinite(after) and after <= (1 - LEAST_FALL) * before,
        f"it was {before:.4f} and is {after:.4f} after {STEPS} steps",
    )
    return f"{before:.4f} → {after:.4f} on unseen text, {STEPS} steps at {made.options.peak_lr():g}"


def take_step(run: TrainingRun) -> float:
    """Make a step at the run's peak rate, without warm-up; returns its loss."""
    step = run.progress.step
    batch = run.plan.batch(step)
    loss = run.gradients(batch, step)
    run.optimizer.update(run.options.peak_lr(), run.optimizer.gradient_norm())
    run.progress.step, run.progress.tokens = step + 1, run.progress.tokens + len(batch.tokens)
    return loss


def resume(checked: CheckedRun) -> str:
    """A checkpoint is written under its name, and a run goes on from it bit for bit."""
    made = checked.run
    begun = made.progress.step
    RunCheckpoints(made).save_now()
    expected = f"{presets.checkpoint_base(checked.options.preset)}_{begun}.bin"
    fail_unless((checked.folder.path / expected).is_file(), f"no {expected} was written")
    losses = [take_step(made) for _ in range(MORE_STEPS)]
    never_stopped = _state(made)
    for array in (made.model.flat, made.optimizer.m, made.optimizer.v):
        array[...] = 7.0  # nothing of it may be left
    path, tensors, meta = checkpoint.load_newest(checked.folder.path, made.base, _damaged)
    made.restore(tensors, meta, path)
    fail_unless(made.progress.step == begun, f"{path.name} goes on at step {made.progress.step}")
    fail_unless(
        [take_step(made) for _ in range(MORE_STEPS)] == losses and _state(made) == never_stopped,
        f"{MORE_STEPS} steps after {path.name} differ from those of the run that went on",
    )
    return f"{path.name}, {byte_size(path.stat().st_size)}: same bits after {MORE_STEPS} more steps"


def _damaged(path: Path, reason: str) -> None:
    raise CheckFailed(f"{path.name} was read as damaged: {reason}")


def _state(made: TrainingRun) -> tuple[bytes, ...]:
    arrays = (made.model.flat, made.optimizer.m, made.optimizer.v)
    return tuple(hashlib.blake2b(array.data).digest() for array in arrays)


def refusal(checked: CheckedRun) -> str:
    """A checkpoint of another preset is refused, with what differs, and changes nothing."""
    made = checked.run
    other = "10m" if checked.options.preset != "10m" else "nano"
    theirs = presets.preset(other).model(259 + presets.preset(other).merges, 0.1)
    wrong = Model(theirs)
    wrong.init(0)
    path = checked.folder.checkpoint(made.base, 999_999)
    meta = made.metadata("training") | {"config": config.describe(theirs), "preset": other}
    before = _state(made)
    try:
        checkpoint.save(path, wrong.parameters, meta)
        made.restore(*checkpoint.load(path), path)
    except CheckpointError as error:
        said = str(error)
    else:
        raise CheckFailed(f"a checkpoint of {other} was taken for one of {checked.options.preset}")
    finally:
        path.unlink(missing_ok=True)
    mine = config.describe(made.model.config)
    differ = [
        f"{name} is {there} there, {mine[name]} here"
        for name, there in config.describe(theirs).items()
        if name != "dropout" and there != mine[name]
    ]
    unnamed = [what for what in differ if what not in said]
    fail_unless(
        not unnamed, f"the refusal of {other} does not say that {'; '.join(unnamed)}: {said}"
    )
    fail_unless(_state(made) == before, f"the refused checkpoint of {other} changed the run")
    return f"{other}: {'; '.join(differ)}"


Check = Callable[[CheckedRun], str]
CHECKS: dict[str, Check] = {
    "extension": extension,
    "tokenizer": tokenizer,
    "parameters": parameters,
    "initialisation": initialisation,
    "threads": threads,
    "memory of a step": memory_of_a_step,
    "loss at step 0": loss_at_step_0,
    "loss falls": loss_falls,
    "resume": resume,
    "another model refused": refusal,
    "disk space": disk,
}
"""In the order in which they are made."""
