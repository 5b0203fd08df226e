"""The training loop: steps, evaluations, checkpoints, and the state that they need.

A run is a function of its options: the batch of a step follows from the seed and
the step's number, so do its dropout masks, and the kernels give the same numbers
for any number of threads. The state to save is then small: parameters, Adam's
moments, and the step.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vidya.errors import UserError
from vidya.measuring.held_out_loss import HeldOutLoss, held_out_loss
from vidya.model import config, learning_rate, presets
from vidya.model.adam import Adam
from vidya.model.precision import resolve_precision
from vidya.model.transformer import Model
from vidya.storage import checkpoint, checkpoint_folder, metrics_log
from vidya.storage.background_checkpoint import CheckpointWriter
from vidya.storage.checkpoint_folder import training_checkpoints
from vidya.storage.checkpoint_format import CheckpointError
from vidya.storage.run_folder import RunFolder
from vidya.system import process_memory
from vidya.system.stop_signal import StopSignal
from vidya.terminal.progress_display import ProgressDisplay
from vidya.text.batch_plan import Batch, BatchPlan
from vidya.training import disk_plan, memory_plan, step_profile, step_speed, thread_choice
from vidya.training.initial_weights import InitialWeights
from vidya.training.options import EVALUATIONS, TrainOptions
from vidya.training.run_corpora import RunCorpora
from vidya.training.samples import append_samples, sample_replies
from vidya.training.spike_guard import Spike, SpikeGuard
from vidya.training.tensorboard import tensorboard, to_board

SPIKE_LINES = 100
"""Least steps between two lines about spikes; metrics tell of each."""
TIMING_SECONDS = 6.0
"""Time given to measuring the speed of a step before the length of a run is chosen."""


@dataclass
class Progress:
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


class Trainer:
    """A run in its folder: model, optimizer, corpora and how far it has come."""

    def __init__(
        self,
        run: RunFolder,
        options: TrainOptions,
        corpora: RunCorpora,
        initial: InitialWeights | None = None,
    ) -> None:
        """Weights drawn from the seed, or the initial ones; `restore` replaces them."""
        # "auto" may mean something else where the run is resumed: what it means here is kept
        options = dataclasses.replace(options, precision=resolve_precision(options.precision))
        self.run, self.options, self.corpora = run, options, corpora
        process_memory.give_back()
        self._base_bytes = process_memory.resident_bytes()
        model_config = options.model_config(corpora.tokenizer.vocab_size)
        self.plan = BatchPlan(
            corpora.train,
            model_config.context,
            tokens_per_step=None if options.docs_per_step else options.tokens_per_step,
            docs_per_step=options.docs_per_step,
            seed=options.seed,
        )
        longest = max(self.plan.max_tokens, model_config.context)
        self.model = Model(model_config, max_tokens=longest, precision=options.precision)
        self.origin: dict[str, str] | None = None
        if initial is None:
            self.model.init(options.seed)
        else:
            self.model.flat[...] = initial.flat
            self.origin = initial.origin
            # in memory when this trainer is made, and goes then
            self._base_bytes = max(0, self._base_bytes - initial.flat.nbytes)
        self.optimizer = Adam(
            self.model,
            beta1=options.beta1,
            beta2=options.beta2,
            eps=options.eps,
            max_norm=options.clip,
        )
        self.progress = Progress()
        self.base = presets.checkpoint_base(options.preset)
        self.interrupted = StopSignal()
        self.guard = SpikeGuard()
        self.writer = CheckpointWriter()
        self.last_held_out: HeldOutLoss | None = None
        self._saved_step = -1
        self._told_spike = -SPIKE_LINES

    # ---- checkpoints -----------------------------------------------------------

    def _meta(self, kind: str) -> dict[str, Any]:
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
            "init": self.origin,
        }

    def _state(self) -> dict[str, Any]:
        """All arrays that a run goes on from."""
        return self.model.parameters | {"adam_m": self.optimizer.m, "adam_v": self.optimizer.v}

    def _begin_save(self, log: metrics_log.MetricsWriter) -> None:
        """Start a training checkpoint of this step; the next one confirms it."""
        self.writer.begin(
            self._path(), self._state(), self._meta("training"),
            # a run goes on after the lines of its checkpoint's step, so these must be there
            before=log.sync, after=self._prune,
        )  # fmt: skip
        self._saved_step = self.progress.step

    def _save_last(self, log: metrics_log.MetricsWriter) -> None:
        """Have a checkpoint of this step on the disk, after which no other comes.

        At the last step the weights to use are written first: a run whose last training
        checkpoint is there counts as finished.

        Raises:
            UserError: the model of this step cannot be trained on; nothing is written.
        """
        if self.progress.step == self._saved_step and not self.writer.undecided:
            self.writer.finish()
            return
        self._require_good()
        self.writer.confirm()
        self.writer.finish()
        if self.progress.step == self._saved_step:
            return
        log.sync()
        if self.progress.step == self.options.steps:
            self._save_final()
        checkpoint.save(self._path(), self._state(), self._meta("training"))
        self._prune()
        self._saved_step = self.progress.step

    def write_checkpoint(self) -> Path:
        """Write a training checkpoint of this step as a run does, and wait for it."""
        self.writer.begin(
            self._path(), self._state(), self._meta("training"), before=_nothing, after=_nothing
        )
        self.writer.confirm()
        self.writer.finish()
        return self._path()

    def _path(self) -> Path:
        return self.run.checkpoint(self.base, self.progress.step)

    def _prune(self) -> None:
        """Delete checkpoints that --keep does not cover."""
        assert self.options.steps is not None
        every = self.options.checkpoint_steps(self.options.steps)
        checkpoint_folder.prune(
            self.run.path, self.base, self.options.keep, checkpoint_folder.milestone_steps(every)
        )

    def require_room(self) -> None:
        """Raise `UserError` if the checkpoints to come do not fit on the disk."""
        assert self.options.steps is not None
        disk_plan.require_room(
            self.run.path,
            self.base,
            parameters=self.model.flat.size,
            total_steps=self.options.steps,
            every=self.options.checkpoint_steps(self.options.steps),
            keep=self.options.keep,
        )

    def _require_good(self) -> None:
        """Refuse weights that the next step fails on: they would push out a good checkpoint.

        The loss of such weights may still be finite. To be sure, the next step is tried.
        While training goes on that step comes anyway; here none does.
        """
        step = self.progress.step
        loss = self.model.loss_and_gradients(
            self.plan.batch(step), dropout_seed=self.options.seed, step=step
        )
        self._require_finite(step + 1, loss, self.optimizer.gradient_norm())

    def _save_final(self) -> None:
        """Write the weights alone, as the model to use."""
        path = self.run.checkpoint(self.base)
        checkpoint.save(path, self.model.parameters, self._meta("final"))

    def restore(self, tensors: dict[str, Any], meta: dict[str, Any], path: object) -> None:
        """Continue from a training checkpoint.

        Raises:
            CheckpointError: it is of another architecture or tokenizer, or holds NaN.
        """
        checkpoint.require_same(
            meta,
            config=config.describe(self.model.config),
            tokenizer_hash=self.corpora.tokenizer.hash,
            path=str(path),
        )
        for name, values in self._state().items():
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
        # they were in memory when this trainer was made, and go now
        loaded = sum(array.nbytes for array in tensors.values())
        self._base_bytes = max(0, self._base_bytes - loaded)
        self.origin = meta.get("init")
        self._saved_step = meta["step"]
        self.progress = Progress(
            meta["step"], meta["tokens"], meta["time_s"], meta.get("evaluated", meta["step"]),
            meta.get("skipped", 0),
        )  # fmt: skip
        self.optimizer.steps = self.progress.step - self.progress.skipped
        self.guard.restore(meta.get("guard", {}))

    # ---- threads, memory, and the length of a run ---------------------------------

    def choose_threads(self, say: Callable[[str], None]) -> None:
        """Set the kernels' threads: as told, or as steps of this run turn out fastest.

        Nothing is updated: the run stays a function of its options.
        """
        some = [self.plan.batch(step) for step in range(min(8, self.plan.steps_in_epoch(0)))]
        usual = self.plan.tokens_in_epoch / self.plan.steps_in_epoch(0)
        batch = min(some, key=lambda one: abs(len(one.tokens) - usual))
        work = thread_choice.Workload(
            config.describe(self.model.config),
            len(batch.tokens),
            self.model.precision,
        )
        thread_choice.choose(self.options.threads, work, lambda: self._try_step(batch), say)

    def _try_step(self, batch: Batch) -> None:
        """What takes time in a step, without its effect on the run."""
        self.model.loss_and_gradients(batch, dropout_seed=self.options.seed)
        # the pass over the buffers that Adam will make
        self.optimizer.gradient_norm()

    def measure_speed(
        self, seconds: float, batches: BatchPlan | None = None
    ) -> step_speed.StepSpeed:
        """What a step takes, update included; timed for about so many seconds.

        For a run that has not begun: it stays as it is.

        Args:
            seconds: how long to measure.
            batches: of the steps; default: the run's own. None may exceed the run's longest.
        """
        if self.optimizer.steps:
            raise ValueError("the moments of a run that has begun would be lost")
        try:
            return step_speed.measure_step_speed(batches or self.plan, self._rehearse, seconds)
        finally:
            self.optimizer.reset()

    def _rehearse(self, batch: Batch) -> None:
        """A step at rate 0: all of its work, and the weights stay. The moments do not."""
        self.model.loss_and_gradients(batch, dropout_seed=self.options.seed)
        self.optimizer.update(0.0, self.optimizer.gradient_norm())

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

    def measure_length(self) -> tuple[int, float]:
        """Steps that fit --minutes at the speed measured now, at most --passes; seconds a step.

        Steps of the run's own batches are measured; the run stays as it is.
        """
        seconds = self.measure_speed(TIMING_SECONDS).seconds
        available = self.options.minutes * 60 - (EVALUATIONS + 1) * self._evaluation_steps * seconds
        most = 0
        for epoch in range(math.ceil(self.options.passes)):
            part = min(1.0, self.options.passes - epoch)
            most += math.ceil(self.plan.steps_in_epoch(epoch) * part)
        return max(1, min(most, int(available / seconds))), seconds

    @property
    def _evaluation_steps(self) -> float:
        """Steps that take as long as an evaluation: its forward passes are a third of steps."""
        held_out = self.corpora.held_out
        tokens = 0 if held_out is None else min(self.options.eval_tokens, len(held_out.tokens))
        return tokens / self.plan.max_tokens / 3

    # ---- the loop ---------------------------------------------------------------------

    def train(self, log: metrics_log.MetricsWriter, display: ProgressDisplay) -> None:
        """Run to the last step, or to the step after a signal; checkpoints as it goes.

        Raises:
            UserError: the loss or a gradient is not finite. The step is not taken and
                the last good checkpoint stays. Or a checkpoint could not be written.
        """
        total = self.options.steps
        assert total is not None
        eval_every = self.options.eval_steps(total)
        save_every = self.options.checkpoint_steps(total)
        with ExitStack() as stack:
            stack.enter_context(self.writer)
            step = self.progress.step
            board = stack.enter_context(tensorboard(self.run, self.options.tensorboard, step))
            if step // save_every < (total - 1) // save_every:
                self.writer.reserve(self._state())
            # At step 0; later, when a signal cut the evaluation of this step short.
            if step % eval_every == 0 and step != self.progress.evaluated:
                self._evaluate(log, display, board)
                if step == self._saved_step:
                    self._begin_save(log)  # which then knows of the evaluation
            first = step
            watched = step_profile.steps_to_watch(first, total) if self.options.profile else ()
            profiler = step_profile.StepProfiler(self.model)
            while step < total and not self.interrupted():
                with self._watched(profiler, step in watched):
                    self._step(total, log, display, board)
                step = self.progress.step
                if step == first + 1:
                    display.say(memory_plan.in_use_line(self.memory_plan(), "after the first step"))
                if step - 1 in watched and (step not in watched or self.interrupted()):
                    self._show_profile(profiler, display)
                if step % eval_every == 0 or step == total:
                    self._evaluate(log, display, board)
                if step % save_every == 0 and step != total:
                    self._begin_save(log)
            self._save_last(log)

    @contextmanager
    def _watched(self, profiler: step_profile.StepProfiler, wanted: bool) -> Iterator[None]:
        """Let the profiler look at the step inside the block, if that is wanted."""
        if not wanted:
            yield
            return
        with profiler.watching(self.plan.batch(self.progress.step)):
            yield

    def _show_profile(self, profiler: step_profile.StepProfiler, display: ProgressDisplay) -> None:
        when = f"after {self.progress.step:,} steps"
        for line in [
            *profiler.profile().lines(),
            memory_plan.in_use_line(self.memory_plan(), when),
        ]:
            display.say(line)

    def _step(
        self, total: int, log: metrics_log.MetricsWriter, display: ProgressDisplay, board: Any
    ) -> None:
        start = time.perf_counter()
        step, options = self.progress.step, self.options
        self.writer.check()
        batch = self.plan.batch(step)
        loss = self.model.loss_and_gradients(batch, dropout_seed=options.seed, step=step)
        norm = self.optimizer.gradient_norm()
        self._require_finite(step + 1, loss, norm)
        stall = self.writer.confirm()
        spike = self._watch(step + 1, loss, norm, log, display)
        rate = learning_rate.learning_rate(
            step,
            total_steps=total,
            peak=options.peak_lr(),
            warmup_steps=learning_rate.fit_warmup(options.warmup_steps(), total),
            floor=options.lr_floor,
        )
        if spike and options.on_spike == "skip":
            self.progress.skipped += 1
        else:
            self.optimizer.update(rate, norm)
        seconds = time.perf_counter() - start
        tokens = len(batch.tokens)
        progress = self.progress
        progress.step, progress.tokens = step + 1, progress.tokens + tokens
        progress.time_s += seconds
        rss = process_memory.resident_bytes()
        line: dict[str, Any] = {
            "step": progress.step,
            "tokens": progress.tokens,
            "loss": loss,
            "lr": rate,
            "grad_norm": norm,
            "tokens_per_s": tokens / seconds,
            "time_s": progress.time_s,
            "rss_bytes": rss,
        }
        if stall is not None:
            line["checkpoint_stall_ms"] = 1000 * stall
        if spike:
            line["spike"] = spike.sigmas
        log.write(line)
        to_board(board, "train", line)
        display.step(progress.step, loss, tokens, seconds, rss)

    def _watch(
        self,
        step: int,
        loss: float,
        norm: float,
        log: metrics_log.MetricsWriter,
        display: ProgressDisplay,
    ) -> Spike | None:
        """Tell of a spike at `step`; with `--on-spike stop`, save what was before and stop."""
        if self.options.on_spike == "stop":
            before = self.guard.state()
        spike = self.guard.look(loss, norm)
        if spike is None:
            return None
        if self.options.on_spike == "stop":
            self.guard.restore(before)  # the step was not made
            self._save_last(log)
            raise UserError(
                f"stopped before step {step}: {spike}; saved as {self._path()}: go on past it with "
                "--resume --on-spike skip, or start again with a lower --lr"
            )
        if step - self._told_spike >= SPIKE_LINES:
            self._told_spike = step
            then = "; its update is left out" if self.options.on_spike == "skip" else ""
            display.say(f"step {step}: spike: {spike}{then}")
        return spike

    def _require_finite(self, step: int, loss: float, norm: float) -> None:
        """Stop the run at `step`, before it changes anything, unless both are finite."""
        if math.isfinite(loss) and math.isfinite(norm):
            return
        self.writer.finish()  # what is good and on its way; the model of this step is not
        what = f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient norm is {norm}"
        saved = training_checkpoints(self.run.path, self.base)
        then = (
            f"the last good checkpoint is {saved[0]}"
            if saved
            else "no checkpoint had been written yet"
        )
        raise UserError(
            f"stopped at step {step}: {what}; {then}; start again with a lower --lr, and with "
            "--overwrite or another --out"
        )

    def _evaluate(
        self, log: metrics_log.MetricsWriter, display: ProgressDisplay, board: Any
    ) -> None:
        """Held-out loss and sampled replies at this step.

        A signal cuts it short and nothing is written: the run does it again when it goes
        on. Only the last step's is always done, since no more comes after it.
        """
        progress, tokenizer = self.progress, self.corpora.tokenizer
        last = progress.step == self.options.steps
        interrupted: Callable[[], bool] = (lambda: False) if last else self.interrupted
        start = time.perf_counter()
        held_out = None
        if self.corpora.held_out is not None:
            held_out = held_out_loss(
                self.model, tokenizer, self.corpora.held_out,
                max_tokens=self.options.eval_tokens, interrupted=interrupted,
            )  # fmt: skip
        count = self.options.samples if progress.step else 0
        replies = sample_replies(self.model, tokenizer, count, interrupted=interrupted)
        if interrupted():
            return
        if held_out is not None:
            self._report(held_out, log, display, board)
        if replies:
            lines = [f"  {prompt!r} → {reply!r}" for prompt, reply in replies]
            for line in lines:
                display.say(line)
            append_samples(self.run.samples, progress.step, lines)
        progress.evaluated = progress.step
        # part of the run's length, as a person experiences it
        progress.time_s += time.perf_counter() - start

    def _report(
        self,
        held_out: HeldOutLoss,
        log: metrics_log.MetricsWriter,
        display: ProgressDisplay,
        board: Any,
    ) -> None:
        self.last_held_out = held_out
        line = {
            "step": self.progress.step,
            "tokens": self.progress.tokens,
            "time_s": self.progress.time_s,
            "val_loss": held_out.loss,
            "val_bpb": held_out.bits_per_byte,
        }
        log.write(line)
        to_board(board, "held_out", line)
        display.held_out(self.progress.step, held_out.loss, held_out.bits_per_byte)


def _nothing() -> None:
    """There is nothing to do before or after this checkpoint."""
