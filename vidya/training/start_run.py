"""A run before the first step of a session: a fresh one, or one that goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vidya import kernels
from vidya.errors import UserError
from vidya.model.precision import resolve_precision
from vidya.model.presets import PRESETS, checkpoint_base
from vidya.storage import checkpoint, metrics_log
from vidya.storage.checkpoint_folder import training_checkpoints
from vidya.storage.run_folder import RunFolder
from vidya.terminal.formatting import plural
from vidya.text.tokenizer_training import check_merges
from vidya.training import thread_choice
from vidya.training.initial_weights import InitialWeights, load_initial_weights
from vidya.training.options import TrainOptions, from_plain, resumed
from vidya.training.run_checkpoints import require_room_for_checkpoints
from vidya.training.run_corpora import prepare, remember, survey
from vidya.training.run_length import measure_length
from vidya.training.samples import truncate_samples
from vidya.training.tensorboard import summary_writer
from vidya.training.training_run import TrainingRun

Say = Callable[[str], None]
ReadOptions = Callable[[TrainOptions], TrainOptions]
"""Options as the user gave them, with these where nothing was given."""


@contextmanager
def opened_run(options: TrainOptions, read_options: ReadOptions, say: Say) -> Iterator[TrainingRun]:
    """The run that the options describe, fresh or resumed; its folder is locked in the block.

    Args:
        options: as given; with --init and --resume they are read anew, with other defaults.
        read_options: reads them so.
        say: takes lines that tell the user what is going on.

    Raises:
        UserError: it cannot be started or resumed so; nothing was deleted then.
    """
    initial = None
    if options.init is not None:
        initial = load_initial_weights(options.init)
        options = read_options(initial.defaults())
        options.check()
        initial.require_same(options)
    with RunFolder(options.folder()) as folder:
        if options.resume:
            run = _resumed_run(folder, options, read_options, say)
        else:
            run = _fresh_run(folder, options, initial, say)
        initial = None  # copied: its memory is given back
        yield run


def _fresh_run(
    folder: RunFolder, options: TrainOptions, initial: InitialWeights | None, say: Say
) -> TrainingRun:
    """A run at step 0, its length chosen."""
    if initial is not None:
        initial.require_outside(folder.path)
    there = [*folder.journals(), *folder.checkpoints()]
    if there and not options.overwrite:
        raise UserError(
            f"{folder.path} already holds a run ({there[-1].name}): go on with it with --resume, "
            "choose another --out, or replace it with --overwrite"
        )
    check_merges(options.n_merges())
    resolve_precision(options.precision)
    if options.tensorboard:
        summary_writer()
    sources = survey(options, folder)
    # Nothing is deleted before all that the user gave has been looked at.
    folder.delete_model()
    thread_choice.use(options.threads)
    given = initial.tokenizer if initial else None
    corpora = prepare(
        folder, options, say, tokenizer_hash=None, sources=sources, given_tokenizer=given
    )
    run = TrainingRun(folder, options, corpora, initial)
    remember(folder, options, sources)
    if initial is not None:
        say(f"beginning with the weights of {initial.origin['path']}")
    run.choose_threads(say)
    _describe(run, say)
    if options.steps is None:
        steps, seconds = measure_length(run)
        run.options = dataclasses.replace(run.options, steps=steps)
        tokens = run.plan.tokens_in_epoch / run.plan.steps_in_epoch(0)
        say(
            f"{seconds:.2f} s a step of {tokens:,.0f} tokens ({tokens / seconds:,.0f} tokens/s): "
            f"{steps:,} steps, {steps * tokens / run.plan.tokens_in_epoch:.2f} passes, about "
            f"{steps * seconds / 60:.0f} minutes; --steps {steps} repeats this run exactly"
        )
    require_room_for_checkpoints(run)
    return run


def _resumed_run(
    folder: RunFolder, options: TrainOptions, read_options: ReadOptions, say: Say
) -> TrainingRun:
    """The run that the folder holds, at its newest whole checkpoint."""
    path, tensors, meta = checkpoint.load_newest(
        folder.path,
        _base_to_resume(folder, options),
        lambda _, reason: say(f"passing over a damaged checkpoint: {reason}"),
    )
    _require_this_run(folder, meta, path)
    options = _options_to_resume(folder, meta["options"], read_options)
    thread_choice.use(options.threads)
    sources = survey(options, folder)
    if sources.train.summary.hash != meta["corpus_hash"]:
        raise UserError(
            f"{path} was trained on another corpus than the one given: "
            "give the same --data, or start another run with --out"
        )
    tokenizer_hash = meta["tokenizer_hash"]
    corpora = prepare(folder, options, say, tokenizer_hash=tokenizer_hash, sources=sources)
    run = TrainingRun(folder, options, corpora)
    run.restore(tensors, meta, path)
    step = run.progress.step
    if step >= run.total_steps:
        raise UserError(
            f"the run in {folder.path} is finished (step {step}): "
            f"give it more with --steps {2 * step}"
        )
    remember(folder, options, sources)
    require_room_for_checkpoints(run)
    run.choose_threads(say)
    evaluated = run.progress.evaluated == step
    metrics_log.truncate_after(folder.metrics, step, evaluated=evaluated)
    truncate_samples(folder.samples, step if evaluated else step - 1)
    _describe(run, say)
    say(f"going on from {path}, step {step:,} of {run.total_steps:,}")
    return run


def _base_to_resume(folder: RunFolder, options: TrainOptions) -> str:
    """Stem of the checkpoints to resume: the preset's, or those of the only other preset."""
    base = checkpoint_base(options.preset)
    if options.preset != TrainOptions().preset or training_checkpoints(folder.path, base):
        return base
    there = [
        other for other in map(checkpoint_base, PRESETS) if training_checkpoints(folder.path, other)
    ]
    return there[0] if len(there) == 1 else base


def _require_this_run(folder: RunFolder, meta: dict[str, Any], path: Path) -> None:
    """Refuse a checkpoint of another run that came to lie under the name of this one's."""
    if meta.get("kind") != "training":
        raise UserError(f"{path} is no training checkpoint: move it away to resume without it")
    if not folder.metrics.exists():
        return
    first = next(iter(metrics_log.read_metrics(folder.metrics, on_damaged=lambda _: None)), {})
    if first.get("kind") == "run":
        checkpoint.require_same(
            meta, config=first["config"], tokenizer_hash=first["tokenizer_hash"], path=path
        )


def _options_to_resume(
    folder: RunFolder, saved: dict[str, object], read_options: ReadOptions
) -> TrainOptions:
    """What the user gave, and the run's own options where nothing was given."""
    known = from_plain(saved)
    # what was asked for once
    known = dataclasses.replace(known, out=folder.path, overwrite=False, profile=False, init=None)
    if known.threads == "measure":
        known = dataclasses.replace(known, threads="auto")
    return resumed(dataclasses.replace(read_options(known), out=folder.path), known)


def _describe(run: TrainingRun, say: Say) -> None:
    config = run.model.config
    say(
        f"model {run.options.preset}: {config.parameter_count() / 1e6:.1f} M parameters "
        f"({config.n_embd} wide, {config.n_layer} layers, {config.n_head} heads, "
        f"context {config.context}, vocabulary {config.vocab_size}); {run.model.precision}, "
        f"{plural(kernels.get_num_threads(), 'thread')}, {kernels.get_isa()}"
    )
    say(run.memory_plan().line())
