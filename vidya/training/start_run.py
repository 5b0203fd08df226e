"""A run before the first step of a session: a fresh one, or one that goes on."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from vidya.errors import UserError
from vidya.model.precision import resolve_precision
from vidya.model.presets import PRESETS, checkpoint_base
from vidya.storage import checkpoint, metrics_log
from vidya.storage.checkpoint_folder import training_checkpoints
from vidya.storage.pretrained import require_own_tokenizer
from vidya.storage.run_folder import RunFolder
from vidya.terminal.progress_display import waiting
from vidya.terminal.streams import can_redraw
from vidya.text.tokenizer_training import check_merges
from vidya.training import run_changes, thread_choice
from vidya.training.corpus_notes import too_little_to_train_on
from vidya.training.initial_weights import InitialWeights, load_initial_weights
from vidya.training.opening_lines import detail_lines, tell_details, tell_opening
from vidya.training.options import TrainOptions, from_plain
from vidya.training.other_machine import tell_what_differs_here
from vidya.training.resumed_corpora import corpora_to_resume, located
from vidya.training.run_checkpoints import require_room_for_checkpoints
from vidya.training.run_corpora import named_tokenizer, prepare, remember, survey
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
        folder.note_preparing("reading the text")
        if options.resume:
            run = _resumed_run(folder, options, read_options, say)
        else:
            run = _fresh_run(folder, options, initial, say)
        folder.note_preparing("")
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
    # before anything is deleted; the folder to be replaced may hold it
    own_tokenizer = None if options.tokenizer is None else named_tokenizer(options.tokenizer)
    if initial is not None and own_tokenizer is not None:
        initial.require_tokenizer(own_tokenizer, options.tokenizer)
    resolve_precision(options.precision)
    if options.tensorboard:
        summary_writer()
    _require_inputs_apart(folder, options)
    sources = survey(options, folder)
    if sources.held_out is None:  # of a small corpus, perhaps
        options = dataclasses.replace(options, val_fraction=0.0)
    # Nothing is deleted before all that the user gave has been looked at.
    folder.delete_model()
    thread_choice.use(options.threads)
    given = initial.tokenizer if initial else own_tokenizer
    detail = detail_lines(options, say)
    corpora = prepare(
        folder, options, say, tokenizer_hash=None, sources=sources, given_tokenizer=given,
        detail=detail,
    )  # fmt: skip
    # one that was given cuts text in its own way
    options = dataclasses.replace(options, split_digits=corpora.tokenizer.splits_digits).settled()
    documents = sources.train.summary.documents
    for line in too_little_to_train_on(options, documents):
        say(line)
    run = TrainingRun(folder, options, corpora, initial)
    remember(folder, options, sources)
    if initial is not None:
        say(f"beginning with the weights of {initial.origin['path']}")
    folder.note_preparing("measuring the speed")
    seconds, watched = None, can_redraw(sys.stderr) and not options.verbose
    with waiting("measuring the speed", tell=False) if watched else nullcontext():
        run.choose_threads(detail)
        tell_details(run, detail)
        if options.steps is None:
            steps, seconds = measure_length(run)
            run.options = dataclasses.replace(run.options, steps=steps)
    require_room_for_checkpoints(run)
    tell_opening(run, documents, seconds, say)
    return run


def _require_inputs_apart(folder: RunFolder, options: TrainOptions) -> None:
    """Refuse text that is itself a file of the run folder, which a new run replaces."""
    for path in (*options.data, *([options.val] if options.val else [])):
        apart = path.resolve().parent != folder.path.resolve()
        if not apart and folder.writes(path.resolve().name):
            raise UserError(
                f"{path} is one of the files that a run writes to {folder.path}: copy it "
                "elsewhere, or choose another --out"
            )


def _resumed_run(
    folder: RunFolder, options: TrainOptions, read_options: ReadOptions, say: Say
) -> TrainingRun:
    """The run that the folder holds, at its newest whole checkpoint."""
    path, tensors, meta = checkpoint.load_newest(
        folder.path,
        _base_to_resume(folder, options),
        lambda _, reason: say(f"passing over a damaged checkpoint: {reason}"),
    )
    lines = metrics_log.lines_of_kind(folder.metrics)
    _require_this_run(lines, meta, path)
    step = int(meta["step"])
    saved = from_plain(meta["options"])
    before = run_changes.changed_at(lines, step, saved)
    options, explicit = _options_to_resume(folder, before, read_options)
    if options.tokenizer is not None and "tokenizer" in explicit:
        require_own_tokenizer(
            named_tokenizer(options.tokenizer), options.tokenizer, meta["tokenizer_hash"], path.name
        )
    for name in sorted(explicit & {"minutes", "passes"}):
        say(f"--{name} chooses the length when a run begins and changes nothing now: give --steps")
    sessions = [line for line in lines if line["kind"] == "run"]
    options = tell_what_differs_here(
        options, explicit, say,
        processor=sessions[-1].get("processor") if sessions else None,
        auto_precision=bool(meta.get("auto_precision")),
    )  # fmt: skip
    thread_choice.use(options.threads)
    named = bool(explicit & {"data", "val"})
    working_folder = os.getcwd() if named else meta.get("working_folder")
    here = options if named else located(options, working_folder)
    detail = detail_lines(options, say)
    corpora, sources = corpora_to_resume(folder, here, meta, say, named=named, detail=detail)
    run = TrainingRun(
        folder, options, corpora, working_folder=working_folder,
        sizes=run_changes.step_sizes(meta.get("step_sizes"), step, saved, options),
    )  # fmt: skip
    run.restore(tensors, meta, path)
    if step >= run.total_steps:
        raise UserError(
            f"the run in {folder.path} is finished (step {step}): "
            f"give it more with --steps {2 * step}"
        )
    if sources is not None:
        remember(folder, here, sources)
    require_room_for_checkpoints(run)
    run.choose_threads(detail)
    evaluated = run.progress.evaluated == step
    metrics_log.truncate_after(folder.metrics, step, evaluated=evaluated)
    truncate_samples(folder.samples, step if evaluated else step - 1)
    tell_details(run, detail)
    say(f"going on from {path}, step {step:,} of {run.total_steps:,}")
    run_changes.tell_changes(step, before, options, say)
    if changed := run_changes.changes(before, options):
        progress = run.progress
        run.change = run_changes.change_line(step, progress.tokens, progress.time_s, changed)
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


def _require_this_run(
    lines: Sequence[Mapping[str, Any]], meta: Mapping[str, Any], path: Path
) -> None:
    """Refuse a checkpoint of another run that came to lie under the name of this one's."""
    if meta.get("kind") != "training":
        raise UserError(f"{path} is no training checkpoint: move it away to resume without it")
    if lines and lines[0]["kind"] == "run":
        first = lines[0]
        checkpoint.require_same(
            meta, config=first["config"], tokenizer_hash=first["tokenizer_hash"], path=path
        )


def _options_to_resume(
    folder: RunFolder, known: TrainOptions, read_options: ReadOptions
) -> tuple[TrainOptions, set[str]]:
    """What the user gave, the run's own options where nothing was given, and some that were."""
    # what was asked for once
    known = dataclasses.replace(
        known, out=folder.path, overwrite=False, profile=False, verbose=False, init=None
    )
    if known.threads == "measure":
        known = dataclasses.replace(known, threads="auto")
    # what is the same with other defaults was given, though it may be what the run has anyway
    nowhere = Path("\0")
    others: dict[str, Any] = {
        "data": (nowhere,), "val": nowhere, "tokenizer": nowhere,
        "tokens_per_step": known.tokens_per_step + 1, "minutes": known.minutes + 1,
        "passes": known.passes + 1, "tensorboard": not known.tensorboard,
    }  # fmt: skip
    read = read_options(dataclasses.replace(known, **others))
    explicit = {name for name, other in others.items() if getattr(read, name) != other}
    given = dataclasses.replace(read_options(known), out=folder.path)
    return run_changes.resumed(given, known, explicit), explicit
