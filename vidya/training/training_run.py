"""A run in its folder: everything that a training goes on from, before and between its steps.

A run is a function of its options: the batch of a step follows from the seed and
the step's number, so do its dropout masks, and the kernels give the same numbers
for any number of threads. The state to save is then small: parameters, Adam's
moments, and the step.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vidya import kernels
from vidya.model import config, presets
from vidya.model.adam import Adam
from vidya.model.precision import resolve_precision
from vidya.model.transformer import Model
from vidya.storage import checkpoint, run_activity
from vidya.storage.checkpoint_format import CheckpointError
from vidya.storage.metrics_log import describe_run
from vidya.storage.run_folder import RunFolder
from vidya.system import process_memory
from vidya.text.batch_plan import Batch, BatchPlan, StepSize
from vidya.training import memory_plan, thread_choice
from vidya.training.initial_weights import InitialWeights
from vidya.training.options import TrainOptions
from vidya.training.run_corpora import RunCorpora
from vidya.training.spike_guard import SpikeGuard


@dataclass
class RunProgress:
    """How far a run has come: saved with every checkpoint."""

    step: int = 0
    """Optimizer steps done."""
    tokens: int = 0
    """Tokens trained on."""
    time_s: float = 0.0
    """Seconds of training, over all sessions."""
    evaluated: int = -1
    """Step of the last evaluation that was not cut short."""
    skipped: int = 0
    """Steps of these whose update was left out (--on-spike skip)."""


class TrainingRun:
    """A run's options, corpora, model and optimizer, and how far it has come."""

    def __init__(
        self,
        folder: RunFolder,
        options: TrainOptions,
        corpora: RunCorpora,
        initial: InitialWeights | None = None,
        *,
        sizes: Sequence[StepSize] = (),
        working_folder: str | None = None,
    ) -> None:
        """Weights drawn from the seed, or the initial ones; `restore` replaces them.

        Args:
            folder: where it lives.
            options: as they are in force now.
            corpora: what it trains on.
            initial: the weights to begin with.
            sizes: of its steps, from the first on, where they changed.
            working_folder: where relative names of files in the options hold; default: here.
        """
        # "auto" may mean something else where the run is resumed: what it means here is kept
        self._auto_precision = options.precision == "auto"
        options = dataclasses.replace(options, precision=resolve_precision(options.precision))
        self.folder, self.options, self.corpora = folder, options, corpora
        process_memory.give_back()
        self._base_bytes = process_memory.resident_bytes()
        model_config = options.model_config(corpora.tokenizer.vocab_size)
        first, *later = sizes or [StepSize(0, *options.step_limits())]
        self.plan = BatchPlan(
            corpora.train,
            model_config.context,
            tokens_per_step=first.tokens_per_step,
            docs_per_step=first.docs_per_step,
            seed=options.seed,
            changes=later,
        )
        self._sizes = [first, *later]
        self._working_folder = working_folder or os.getcwd()
        self.change: dict[str, object] | None = None
        """The line of metrics about what changes before the next step, where anything does."""
        longest = max(self.plan.max_tokens, model_config.context)
        self.model = Model(model_config, max_tokens=longest, precision=options.precision)
        self.origin: dict[str, str] | None = None
        if initial is None:
            self.model.init(options.seed, options.initial_stds(model_config))
        else:
            self.model.flat[...] = initial.flat
            self.origin = initial.origin
            # in memory when this run is made, and goes then
            self._base_bytes = max(0, self._base_bytes - initial.flat.nbytes)
        self.optimizer = Adam(
            self.model,
            beta1=options.in_force("beta1"),
            beta2=options.in_force("beta2"),
            eps=options.eps,
            embedding_scale=options.in_force("embedding_lr_scale"),
            max_norm=options.clip,
        )
        self.progress = RunProgress()
        self.guard = SpikeGuard()
        self.base = presets.checkpoint_base(options.preset)
        self.saved_step = -1
        """Step of the newest training checkpoint that was begun; -1: none."""

    @property
    def total_steps(self) -> int:
        """Steps that the run is to have in the end; they must have been chosen."""
        assert self.options.steps is not None
        return self.options.steps

    def tensors(self) -> dict[str, Any]:
        """All arrays that a run goes on from."""
        return self.model.parameters | {"adam_m": self.optimizer.m, "adam_v": self.optimizer.v}

    def metadata(self, kind: str) -> dict[str, Any]:
        """What a checkpoint of this step says of itself: `kind` is "training" or "final"."""
        epoch, index = self.plan.position(self.progress.step)
        return {
            "kind": kind,
            "preset": self.options.preset,
            "config": config.describe(self.model.config),
            **dataclasses.asdict(self.progress),
            "guard": self.guard.state(),
            "data_position": {"epoch": epoch, "index": index},
            "seed": self.options.seed,
            "random": "Philox, keyed by seed and step: nothing else to keep",
            "options": self.options.plain(),
            "tokenizer_hash": self.corpora.tokenizer.hash,
            "corpus_hash": self.corpora.corpus_hash,
            "held_out_hash": self.corpora.held_out and self.corpora.held_out.corpus_hash,
            "working_folder": self._working_folder,
            "auto_precision": self._auto_precision,
            "init": self.origin,
            "written": run_activity.now(),
            **self._changed_sizes(),
        }

    def _changed_sizes(self) -> dict[str, Any]:
        if len(self._sizes) == 1:
            return {}
        return {"step_sizes": [dataclasses.astuple(size) for size in self._sizes]}

    def description(self) -> dict[str, object]:
        """What a session of the run says of it in the metrics file, before its steps."""
        return describe_run(
            config=config.describe(self.model.config),
            options=self.options.plain(),
            seed=self.options.seed,
            threads=kernels.get_num_threads(),
            precision=self.model.precision,
            tokenizer_hash=self.corpora.tokenizer.hash,
            corpus_hash=self.corpora.corpus_hash,
            openblas=kernels.openblas_config(),
            init=self.origin,
        )

    def restore(self, tensors: dict[str, Any], meta: dict[str, Any], path: Path) -> None:
        """Continue from a training checkpoint.

        Raises:
            CheckpointError: it is of another architecture or tokenizer, or holds NaN.
        """
        checkpoint.require_same(
            meta,
            config=config.describe(self.model.config),
            tokenizer_hash=self.corpora.tokenizer.hash,
            path=path,
        )
        for name, values in self.tensors().items():
            there = tensors[name].shape if name in tensors else "absent"
            if there != values.shape:
                raise CheckpointError(
                    f"{path}: {name} should be {values.shape} by its own description but is "
                    f"{there}: move that checkpoint away"
                )
            if not np.isfinite(tensors[name]).all():
                raise CheckpointError(
                    f"{path}: {name} holds NaN or infinity: move that checkpoint away to resume "
                    "from the one before it"
                )
            values[...] = tensors[name]
        # they were in memory when this run was made, and go now
        loaded = sum(array.nbytes for array in tensors.values())
        self._base_bytes = max(0, self._base_bytes - loaded)
        self.origin = meta.get("init")
        self._auto_precision = bool(meta.get("auto_precision"))
        self.saved_step = meta["step"]
        self.progress = RunProgress(
            meta["step"], meta["tokens"], meta["time_s"], meta.get("evaluated", meta["step"]),
            meta.get("skipped", 0),
        )  # fmt: skip
        self.optimizer.steps = self.progress.step - self.progress.skipped
        self.guard.restore(meta.get("guard", {}))

    def gradients(self, batch: Batch, step: int = 0) -> float:
        """Loss of a batch with the dropout of a step; its gradients fill those of the model."""
        return self.model.loss_and_gradients(batch, dropout_seed=self.options.seed, step=step)

    def longest_batch(self) -> Batch:
        """The longest batch of the first epoch."""
        return self.plan.batch(int(self.plan.step_tokens(0).argmax()))

    def choose_threads(self, say: Callable[[str], None]) -> None:
        """Set the kernels' threads: as told, or as steps of this run turn out fastest.

        Nothing is updated: the run stays a function of its options.
        """
        begin = self.plan.changed_at  # those before may be longer than there is room for
        some = [
            self.plan.batch(begin + step) for step in range(min(8, self.plan.steps_in_epoch(0)))
        ]
        usual = self.plan.tokens_in_epoch / self.plan.steps_in_epoch(0)
        batch = min(some, key=lambda one: abs(len(one.tokens) - usual))
        work = thread_choice.Workload(
            config.describe(self.model.config), len(batch.tokens), self.model.precision
        )

        def step() -> None:
            self.gradients(batch)
            # the pass over the buffers that Adam will make
            self.optimizer.gradient_norm()

        thread_choice.choose(self.options.threads, work, step, say)

    def memory_plan(self) -> memory_plan.MemoryPlan:
        """What this training will take."""
        total = self.options.steps
        return memory_plan.plan_memory(
            self.model,
            evaluates=self.corpora.held_out is not None or self.options.samples > 0,
            batches=self.plan,
            base=self._base_bytes,
            saves=total is None or self.options.checkpoint_steps(total) < total,
        )
