"""What must be true before a long run: one small function a check.

Each does something for real with the run's own corpora, model and files, in a temporary
folder, returns a line with the figure that it found, and raises if that is not as it must
be: `CheckFailed`, or whatever the part that is broken raises.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidya import kernels
from vidya.errors import UserError
from vidya.model import config, presets, transformer
from vidya.model.initialisation import INIT_STD, expected_first_loss, initial_std
from vidya.model.parameters import parameter_parts
from vidya.model.precision import resolve_precision
from vidya.planning import cost_estimate, trial_run
from vidya.storage import checkpoint
from vidya.storage.checkpoint_format import CheckpointError
from vidya.storage.run_folder import RunFolder
from vidya.system import process_memory
from vidya.system.scratch_folder import existing_parent
from vidya.terminal.formatting import byte_size
from vidya.text.batch_plan import Batch
from vidya.text.tokenizer import Tokenizer
from vidya.text.tokenizer_training import train_tokenizer
from vidya.training import thread_choice
from vidya.training.options import TrainOptions
from vidya.training.run_corpora import CorpusSources, RunCorpora, prepare
from vidya.training.trainer import Trainer

PREVIOUS_MERGES = 2000
"""Of the tokenizer to compare with: the 10m preset's, which the plan replaces."""
ROUND_TRIPS = 200
"""Documents that must come back from the tokenizer as they were."""
SIGMAS = 6.0
"""Standard errors that a standard deviation of the first weights may be off."""
FIRST_LOSS_BAND = 1.25
"""Nats around `first_loss`; real text repeats itself, which takes a little off."""
STEPS = 20
LEAST_FALL = 0.01
"""Share of the loss that must be gone after `STEPS` steps."""
MORE_STEPS = 2
"""Steps that a resumed run must take as the one that was never stopped."""
MEMORY_MARGIN = 1.10
"""A training may take this many times what was estimated."""


class CheckFailed(Exception):
    """Something is not as it must be; the message says what."""


@dataclass
class Site:
    """What the checks work on. What is costly is made once, when first asked for."""

    options: TrainOptions
    sources: CorpusSources
    run: RunFolder
    previous: Path | None
    say: Callable[[str], None]

    @functools.cached_property
    def corpora(self) -> RunCorpora:
        """Tokenizer and token caches, prepared as a training does."""
        return prepare(self.run, self.options, self.say, tokenizer_hash=None, sources=self.sources)

    @functools.cached_property
    def trainer(self) -> Trainer:
        """The run itself, before its first step."""
        return Trainer(self.run, self.options, self.corpora)


def require(condition: bool, what: str) -> None:
    """Raise `CheckFailed` with `what` unless the condition holds."""
    if not condition:
        raise CheckFailed(what)


# ---------------------------------------------------------------- the machine and the text


def extension(site: Site) -> str:
    """The compiled kernels load, multiply as NumPy does, and say what they run on."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((96, 200), np.float32), rng.standard_normal((72, 200), np.float32)
    there = x.astype(np.float64) @ w.T.astype(np.float64)
    for name, product in (("matmul", kernels.matmul(x, w)), ("linear", kernels.linear(x, w))):
        off = float(np.abs(product - there).max())
        require(off < 1e-3, f"{name} of the kernels is off by {off:.3g}")
    precision = resolve_precision(site.options.precision)
    blas = " ".join(kernels.openblas_config().split()[:2])
    return f"built; {kernels.get_isa()}, {blas}, precision {precision}"


def tokenizer(site: Site) -> str:
    """It learns from the corpus, survives its file, gives text back, and beats the old one."""
    made = site.corpora.tokenizer
    again = Tokenizer.load(site.run.tokenizer)
    texts = [text for text, _ in zip(site.sources.train.documents(), range(ROUND_TRIPS))]  # noqa: B905
    require(again.hash == made.hash, "the tokenizer that was read back is another one")
    for text in texts:
        ids = made.encode_text(text)
        require(again.encode_text(text) == ids, f"read back, it encodes {text[:40]!r} otherwise")
        require(again.decode(ids) == text, f"{text[:40]!r} does not come back from its tokens")
    most = 256 + 3 + site.options.n_merges()
    require(made.vocab_size <= most, f"{made.vocab_size} tokens are more than {most}")
    old, whence = _previous(site)
    ours, theirs = _characters_per_token(made, texts), _characters_per_token(old, texts)
    require(
        made.vocab_size <= old.vocab_size or ours > theirs,
        f"{made.vocab_size:,} tokens give {ours:.3f} characters per token, the "
        f"{old.vocab_size:,} of {whence} {theirs:.3f}",
    )
    return (
        f"{made.vocab_size:,} tokens, {ours:.2f} characters per token; {whence}: "
        f"{old.vocab_size:,}, {theirs:.2f}"
    )


def _previous(site: Site) -> tuple[Tokenizer, str]:
    if site.previous is not None:
        return Tokenizer.load(site.previous), str(site.previous)
    merges = min(PREVIOUS_MERGES, site.options.n_merges() // 2)
    return train_tokenizer(site.sources.train.documents(), merges), f"{merges:,} merges"


def _characters_per_token(made: Tokenizer, texts: list[str]) -> float:
    tokens = sum(len(made.encode_marked(text)) for text in texts)
    return sum(map(len, texts)) / max(1, tokens)


# ---------------------------------------------------------------- the model


def parameters(site: Site) -> str:
    """As many numbers as the arithmetic says, each of them in a named matrix."""
    made, parts = site.trainer.model, parameter_parts(site.trainer.model.config)
    named, expected = sum(view.size for view in made.parameters.values()), sum(parts.values())
    require(
        named == made.flat.size == expected,
        f"the model holds {made.flat.size:,} numbers, {named:,} of them named; the "
        f"arithmetic says {expected:,}",
    )
    listed = ", ".join(f"{name} {count:,}" for name, count in parts.items())
    return f"{named:,} ({named / 1e6:.1f} M): {listed}"


def initialisation(site: Site) -> str:
    """Residual outputs have std 0.08/√(2L), all other matrices 0.08, gains are 1."""
    made = site.trainer.model
    residual_std = initial_std("attn_out", made.config.n_layer)
    found: dict[float, list[float]] = {residual_std: [], INIT_STD: []}
    for name, values in made.parameters.items():
        if name.endswith("norm"):
            require(bool((values == 1).all()), f"{name} is not 1 everywhere")
            continue
        wanted = initial_std(name, made.config.n_layer)
        std, mean = float(values.std(dtype=np.float64)), float(values.mean(dtype=np.float64))
        slack = SIGMAS / math.sqrt(2 * values.size)
        require(
            abs(std / wanted - 1) < slack and abs(mean) < SIGMAS * wanted / math.sqrt(values.size),
            f"{name} has std {std:.5f} and mean {mean:.5f}, not {wanted:.5f} and 0",
        )
        found[wanted].append(std)
    residual, others = (np.mean(found[std]) for std in (residual_std, INIT_STD))
    return f"residual std {residual:.5f} (0.08/√(2L) = {residual_std:.5f}), others {others:.4f}"


# ---------------------------------------------------------------- steps


def threads(site: Site) -> str:
    """Steps at each number of threads give the same bits; the fastest is what is used."""
    made, counts = site.trainer, thread_choice.candidates(kernels.usable_cores())
    batch = _largest(made)
    results = set()
    for count in counts:
        kernels.set_num_threads(count)
        results.add((_pass(made, batch), made.optimizer.gradient_norm()))
    require(len(results) == 1, f"the loss depends on the number of threads: {sorted(results)}")
    timings = thread_choice.measure(lambda: _pass(made, batch), counts)
    asked = site.options.threads
    number = asked if isinstance(asked, int) else thread_choice.fastest(timings)
    kernels.set_num_threads(number)
    listed = ", ".join(f"{t.threads}: {t.seconds * 1e3:,.0f} ms" for t in timings)
    return f"{number} used; a pass over {len(batch.tokens)} tokens, {listed}; same bits"


def _largest(made: Trainer) -> Batch:
    return made.plan.batch(int(made.plan.step_tokens(0).argmax()))


def _pass(made: Trainer, batch: Batch) -> float:
    return made.model.loss_and_gradients(batch, dropout_seed=made.options.seed)


def memory_of_a_step(site: Site) -> str:
    """The longest step, an evaluation and a checkpoint, in a process of their own."""
    _ = site.corpora  # prepared here, opened there
    free = process_memory.available_bytes()
    options = dataclasses.replace(site.options, threads=kernels.get_num_threads())
    site.run.release()  # the trial takes the folder's lock
    try:
        taken = trial_run.run_trial(options, site.run.path, None).memory
    finally:
        site.run.acquire()
    planned = taken.planned.total
    require(
        taken.run <= MEMORY_MARGIN * planned,
        f"it took {byte_size(taken.run)}, {taken.run / planned:.0%} of the {byte_size(planned)} "
        "estimated",
    )
    require(
        free is None or taken.run <= free,
        f"it takes {byte_size(taken.run)} and this machine has only {byte_size(free or 0)} left",
    )
    return (
        f"peak {byte_size(taken.step)} in a step, {byte_size(taken.run)} with evaluation and "
        f"checkpoint ({taken.run / planned:.0%} of the {byte_size(planned)} estimated); "
        f"{'unknown' if free is None else byte_size(free)} free"
    )


def loss_at_step_0(site: Site) -> str:
    """Finite, and where this initialisation puts it."""
    made = site.trainer
    batch = made.plan.batch(0)
    loss, expected = _pass(made, batch), expected_first_loss(made.model.config)
    uniform = math.log(made.model.config.vocab_size)
    require(
        math.isfinite(loss) and abs(loss - expected) <= FIRST_LOSS_BAND,
        f"the loss is {loss:.4f}, and this initialisation puts it near {expected:.2f}",
    )
    return (
        f"{loss:.4f} (this initialisation: {expected - FIRST_LOSS_BAND:.1f} to "
        f"{expected + FIRST_LOSS_BAND:.1f}; all tokens alike: {uniform:.2f})"
    )


def loss_falls(site: Site) -> str:
    """20 steps at the peak rate, looked at on text that they did not see."""
    made = site.trainer
    unseen = made.plan.batch(min(STEPS, made.plan.steps_in_epoch(0) - 1))
    before = _mean_loss(made, unseen)
    for _ in range(STEPS):
        _take_step(made)
    after = _mean_loss(made, unseen)
    require(
        math.isfinite(after) and after <= (1 - LEAST_FALL) * before,
        f"it was {before:.4f} and is {after:.4f} after {STEPS} steps",
    )
    return f"{before:.4f} → {after:.4f} on unseen text, {STEPS} steps at {made.options.peak_lr():g}"


def _mean_loss(made: Trainer, batch: Batch) -> float:
    return float(made.model.losses(batch).mean(dtype=np.float64))


def _take_step(made: Trainer) -> float:
    """A step of the run at its peak rate, without warm-up."""
    step = made.progress.step
    batch = made.plan.batch(step)
    loss = made.model.loss_and_gradients(batch, dropout_seed=made.options.seed, step=step)
    made.optimizer.update(made.options.peak_lr(), made.optimizer.gradient_norm())
    made.progress.step, made.progress.tokens = step + 1, made.progress.tokens + len(batch.tokens)
    return loss


# ---------------------------------------------------------------- checkpoints


def resume(site: Site) -> str:
    """A checkpoint is written under its name, and a run goes on from it bit for bit."""
    made = site.trainer
    begun = made.progress.step
    made.write_checkpoint()
    expected = f"{presets.checkpoint_base(site.options.preset)}_{begun}.bin"
    require((site.run.path / expected).is_file(), f"no {expected} was written")
    losses = [_take_step(made) for _ in range(MORE_STEPS)]
    never_stopped = _state(made)
    for array in (made.model.flat, made.optimizer.m, made.optimizer.v):
        array[...] = 7.0  # nothing of it may be left
    path, tensors, meta = checkpoint.load_newest(site.run.path, made.base, _damaged)
    made.restore(tensors, meta, path)
    require(made.progress.step == begun, f"{path.name} goes on at step {made.progress.step}")
    require(
        [_take_step(made) for _ in range(MORE_STEPS)] == losses and _state(made) == never_stopped,
        f"{MORE_STEPS} steps after {path.name} differ from those of the run that went on",
    )
    return f"{path.name}, {byte_size(path.stat().st_size)}: same bits after {MORE_STEPS} more steps"


def _damaged(path: Path, reason: str) -> None:
    raise CheckFailed(f"{path.name} was read as damaged: {reason}")


def _state(made: Trainer) -> tuple[bytes, ...]:
    import hashlib

    arrays = (made.model.flat, made.optimizer.m, made.optimizer.v)
    return tuple(hashlib.blake2b(array.data).digest() for array in arrays)


def refusal(site: Site) -> str:
    """A checkpoint of another preset is refused, with what differs, and changes nothing."""
    made = site.trainer
    other = "10m" if site.options.preset != "10m" else "nano"
    theirs = presets.preset(other).model(259 + presets.preset(other).merges, 0.1)
    wrong = transformer.Model(theirs)
    wrong.init(0)
    path = site.run.checkpoint(made.base, 999_999)
    meta = made._meta("training") | {"config": config.describe(theirs), "preset": other}
    before = _state(made)
    try:
        checkpoint.save(path, wrong.parameters, meta)
        made.restore(*checkpoint.load(path), path)
    except CheckpointError as error:
        said = str(error)
    else:
        raise CheckFailed(f"a checkpoint of {other} was taken for one of {site.options.preset}")
    finally:
        path.unlink(missing_ok=True)
    mine = config.describe(made.model.config)
    differ = [
        f"{name} is {there} there, {mine[name]} here"
        for name, there in config.describe(theirs).items()
        if name != "dropout" and there != mine[name]
    ]
    unnamed = [what for what in differ if what not in said]
    require(not unnamed, f"the refusal of {other} does not say that {'; '.join(unnamed)}: {said}")
    require(_state(made) == before, f"the refused checkpoint of {other} changed the run")
    return f"{other}: {'; '.join(differ)}"


def disk(site: Site) -> str:
    """All checkpoints of the run fit where it will write them."""
    options = site.options
    steps = options.steps or _passes_in_steps(site)
    count = site.trainer.model.config.parameter_count()
    caches = sum(path.stat().st_size for path in site.run.token_caches())
    needed = cost_estimate.disk_bytes(options, count, steps) + caches
    where = existing_parent(options.folder())
    free = shutil.disk_usage(where).free
    require(
        needed <= free, f"{byte_size(needed)} are needed and {byte_size(free)} are free in {where}"
    )
    return f"{byte_size(needed)} for {steps:,} steps, {byte_size(free)} free in {where}"


def _passes_in_steps(site: Site) -> int:
    return math.ceil(site.options.passes * site.trainer.plan.steps_in_epoch(0))


Check = Callable[[Site], str]
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


def failure(error: Exception) -> str:
    """A line that says why a check failed."""
    if isinstance(error, (CheckFailed, UserError)):
        return str(error)
    return f"{type(error).__name__}: {error}"
