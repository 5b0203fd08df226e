"""How teaching begins: a model is opened where its journal ends, or with a new journal."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from vidya.errors import UserError
from vidya.model.micro_batches import MICRO_BATCH_TOKENS
from vidya.posttraining.results_folder import is_apart
from vidya.posttraining.teaching.journal import Journal
from vidya.posttraining.teaching.learner import Learner
from vidya.posttraining.teaching.lesson import Lesson
from vidya.posttraining.teaching.session import Say, Teaching
from vidya.posttraining.trained_run import TrainedRun, open_trained_run
from vidya.storage import checkpoint
from vidya.storage.checkpoint_folder import base_of
from vidya.storage.checkpoint_format import CheckpointError, read_digest
from vidya.storage.find_model import resolve_model, say_once
from vidya.storage.pretrained import load_pretrained
from vidya.storage.run_files import RunFiles
from vidya.storage.run_folder import RunFolder
from vidya.system.atomic_file import atomic_copy


@contextlib.contextmanager
def open_teaching(
    path: str | os.PathLike[str] | None, slots: int, say: Say, *, out: Path | None = None,
    tell: Say = say_once,
) -> Iterator[Teaching]:  # fmt: skip
    """Open a model for teaching: go on where its journal ends, or begin one.

    Args:
        path: a checkpoint, a run folder, or None for the newest run.
        slots: candidates that are written at one time.
        say: takes lines for the teacher.
        out: folder of the lessons and of what they make, where it is not the model's own; lessons
            of this model that are there go on.
        tell: as for `resolve_model`.

    Raises:
        UserError: as `open_trained_run`; the journal is damaged, its base model is missing, or
            the lessons in `out` are another model's.
    """
    path, out = _begun_apart(path, out, tell)
    some = open_trained_run(path, max_tokens=MICRO_BATCH_TOKENS, out=out, tell=tell)
    with some as trained_run:
        teaching = _opened(trained_run, slots, say, tell)
        try:
            yield teaching
        finally:
            teaching.wait()


def _begun_apart(
    path: str | os.PathLike[str] | None, out: Path | None, tell: Say
) -> tuple[str | os.PathLike[str] | None, Path | None]:
    """Which model to open and where its results go, for lessons that may have begun in `out`."""
    if out is None or not out.exists():
        return path, out
    chosen, _ = resolve_model(path, tell=tell)
    if not is_apart(chosen, out):
        return path, None
    there = RunFiles(out)
    changed = there.finetuned(base_of(chosen))
    book = Journal.open(there.lessons) if there.lessons.exists() else None
    if book is not None and book.base["digest"] == read_digest(chosen):
        return (changed, None) if changed.exists() else (path, out)  # none before the first lesson
    if book is not None or changed.exists():
        raise UserError(
            f"{there.lessons if book else changed} began with another model: go on with it by "
            f"python -m vidya.teach {out}, or give a new folder as --out"
        )
    return path, out


def _opened(trained_run: TrainedRun, slots: int, say: Say, tell: Say) -> Teaching:
    folder, path, origin = trained_run.folder, trained_run.path, trained_run.origin
    if path.exists() and not path.samefile(trained_run.source):
        if resolve_model(folder.path, tell=tell)[0].name != origin["name"]:
            raise UserError(
                f"{path} is there and would be replaced: teach goes on with that one, or move it "
                f"away to begin with {origin['name']}"
            )
        kept = folder.set_finetuned_aside(trained_run.base)  # the run went on since
        if len(kept) > 1:
            say(f"its lessons are {kept[-1].name} now")
    book = Journal.open(folder.lessons) if folder.lessons.exists() else None
    known: str | None = None
    if book is not None:
        taught_here = origin["kind"] == "taught"
        began_with = trained_run.meta["origin"] if taught_here else origin
        if began_with.get("digest") != book.base["digest"]:
            _set_aside(folder, say)
            book = None
        elif taught_here:
            known = str(trained_run.meta.get("journal"))
    if book is None:
        # a name that no training or lesson writes to
        trained_run.furnish()
        atomic_copy(trained_run.source, folder.lessons_base)
        book = Journal.begin(folder.lessons, origin, trained_run.tokenizer.hash)
    if not folder.lessons_base.exists() or read_digest(folder.lessons_base) != book.base["digest"]:
        raise UserError(
            f"{folder.lessons_base} is not the {book.base['name']} that the lessons of {book.path} "
            "began with: put that one there, or move the journal away to begin another"
        )
    base = load_pretrained(folder.lessons_base, tell=tell)
    # what is saved tells of the base, not of the checkpoint of the session before
    trained_run = dataclasses.replace(trained_run, meta=base.meta, origin=book.base)
    learner = Learner(trained_run.model, base.model, trained_run.tokenizer, trained_run.corpus)
    teaching = Teaching(trained_run, learner, book, slots)
    names = book.digests()
    if known in names:
        _restore_moments(trained_run, learner, book.lessons[: names.index(known)])
    teaching.catch_up(known, say)
    return teaching


def _restore_moments(trained_run: TrainedRun, learner: Learner, lessons: Sequence[Lesson]) -> None:
    adam, path = learner.optimizer_of(lessons), trained_run.path
    tensors, meta = checkpoint.load(path, names=("adam_m", "adam_v"))
    for name, values in (("adam_m", adam.m), ("adam_v", adam.v)):
        if tensors[name].shape != values.shape:
            raise CheckpointError(
                f"{path}: {name} should be {values.shape} but is {tensors[name].shape}: "
                "delete it, and it is rebuilt from the journal"
            )
        values[...] = tensors[name]
    adam.steps = int(meta["adam_steps"])


def _set_aside(folder: RunFolder, say: Say) -> None:
    """Keep a journal that belongs to another base model, and that model, under other names."""
    *_, kept = folder.set_aside(folder.lessons_base, folder.lessons)
    say(
        f"{folder.lessons.name} began with another model: it is {kept.name} now, "
        "and a new one begins"
    )
