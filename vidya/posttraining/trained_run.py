"""A trained model that is about to change in its run folder: fine-tuning, teaching, RL.

It begins with the checkpoint of the folder that was made last, `BASE_train.bin` or one of the
run's own, and its results go to `BASE_train.bin`, there or in a folder of their own
(vidya/posttraining/results_folder.py); `BASE.bin` stays. A `BASE_train.bin` that it
did not begin with is set aside under a number. The folder of the results is locked meanwhile, as
in a training.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vidya.model.transformer import Model
from vidya.posttraining.replay_corpus import ReplayCorpus, open_replay_corpus
from vidya.posttraining.results_folder import furnish, is_apart, results_folder
from vidya.storage import checkpoint
from vidya.storage.checkpoint_folder import base_of
from vidya.storage.checkpoint_format import CheckpointError, read_digest
from vidya.storage.find_model import Say, resolve_model, say_once, steps_of_run
from vidya.storage.pretrained import load_pretrained
from vidya.storage.run_activity import now
from vidya.storage.run_folder import RunFolder
from vidya.text.tokenizer import Tokenizer

KEPT = ("preset", "config", "step", "tokens", "tokenizer_hash", "corpus_hash", "seed")
"""What a changed model's metadata repeats of the model that it came from."""


@dataclass(frozen=True)
class TrainedRun:
    """The model, what belongs to it, and where it lives."""

    folder: RunFolder
    """Where its results go; locked."""
    source: Path
    """The checkpoint that it began with."""
    base: str
    """Stem of the names of its checkpoints."""
    model: Model
    tokenizer: Tokenizer
    corpus: ReplayCorpus | None
    """What it was trained on; None where the run folder has no token cache."""
    meta: Mapping[str, Any]
    """Metadata of the checkpoint that it began with."""
    origin: Mapping[str, str]
    """`name`, `kind` and `digest` of that checkpoint."""
    run_step: int = 0
    """How far the run in the folder has come: later it tells whether that went on since."""
    replaceable: set[str] = field(default_factory=set)
    """Names of the files that may be replaced: what this began with, and what it wrote."""

    @property
    def path(self) -> Path:
        """Where its changed weights go: `BASE_train.bin`."""
        return self.folder.finetuned(self.base)

    def furnish(self) -> None:
        """Make the folder of the results a run folder, before the first thing is written to it."""
        furnish(self.folder, self.source)

    def tell_what_is_set_aside(self, say: Callable[[str], None]) -> None:
        """Say under which name a `BASE_train.bin` will be kept that this did not begin with."""
        path = self.path
        if path.exists() and path.name not in self.replaceable:
            kept = self.folder.numbered(path, self.folder.number_for_finetuned(self.base)).name
            say(f"{path.name} is not what this begins with: it will be kept as {kept}")

    def save(
        self, kind: str, details: Mapping[str, object], state: Mapping[str, Any] | None = None,
        stopped: Callable[[], bool] | None = None,
    ) -> None:  # fmt: skip
        """Write the weights as `BASE_train.bin`, atomically; another's is set aside before.

        Args:
            kind: what was done to them: `finetuned`, `taught`, `rl`.
            details: JSON values that say how.
            state: arrays to keep beside the weights, named `adam_…`.
            stopped: looked at now and then: whether it is not wanted any more.

        Raises:
            UserError: the disk is full.
            CheckpointError: a weight is not finite; the file that is there stays.
            SaveStoppedError: `stopped` said so; the file that is there stays.
        """
        if not np.isfinite(self.model.flat).all():
            raise CheckpointError(
                f"the weights hold NaN or infinity, {self.path.name} stays as it is: lower --lr"
            )
        if self.path.name not in self.replaceable:
            self.folder.set_finetuned_aside(self.base)
            self.replaceable.add(self.path.name)
        # the same lessons give the same bytes: the journal has their times
        written = {} if kind == "taught" else {"written": now()}
        checkpoint.save(self.path, {**self.model.parameters, **(state or {})}, {
            **{name: self.meta[name] for name in KEPT if name in self.meta},
            "kind": kind, "origin": dict(self.origin), "run_step": self.run_step,
            **details, **written,
        }, stopped)  # fmt: skip


@contextlib.contextmanager
def open_trained_run(
    path: str | os.PathLike[str] | None = None,
    *,
    max_tokens: int | None = None,
    out: Path | None = None,
    tell: Say = say_once,
) -> Iterator[TrainedRun]:
    """Load a model and lock the folder of its results until the block ends.

    Args:
        path: a checkpoint, a run folder, or None for the newest run.
        max_tokens: of the largest batch that it will be trained on; default: the context.
        out: folder of the results; None: that of the model.
        tell: as for `resolve_model`.

    Raises:
        UserError: there is no model, no tokenizer, another process trains in the folder, it
            cannot be written to, or `out` holds another run.
        CheckpointError: the checkpoint is damaged or of another tokenizer.
    """
    chosen, _ = resolve_model(path, tell=tell)
    with results_folder(chosen, out) as folder:
        # only now does nobody else write: what is best may have changed
        loaded = load_pretrained(path, max_tokens=max_tokens, tell=tell)
        name = loaded.checkpoint_path
        base, apart = base_of(name), is_apart(name, folder.path)
        yield TrainedRun(
            folder, name, base, loaded.model, loaded.tokenizer,
            open_replay_corpus(name.parent, loaded.tokenizer), loaded.meta,
            {
                "name": name.name,
                "kind": str(loaded.meta.get("kind", "")),
                "digest": read_digest(name),
            },
            run_step=steps_of_run(folder.path, base),
            replaceable=set() if apart else {name.name},
        )  # fmt: skip
