"""The training loop: steps, and between them evaluations and checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from typing import Any

from vidya.errors import UserError
from vidya.measuring.held_out_loss import held_out_loss
from vidya.storage.metrics_log import MetricsWriter
from vidya.system import process_memory
from vidya.system.stop_signal import StopSignal
from vidya.terminal.progress_display import ProgressDisplay
from vidya.training import memory_plan, step_profile
from vidya.training.run_checkpoints import RunCheckpoints
from vidya.training.run_outcome import Evaluation, LossesSince
from vidya.training.samples import append_samples, sample_replies
from vidya.training.spike_guard import Spike
from vidya.training.tensorboard import tensorboard, to_board
from vidya.training.training_run import TrainingRun

SPIKE_LINES = 100
"""Least steps between two lines about spikes; metrics tell of each."""


class Trainer:
    """One session of a run: from the step that it stands at to its last, or to a signal."""

    def __init__(
        self,
        run: TrainingRun,
        log: MetricsWriter,
        display: ProgressDisplay,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        self.run, self.log, self.display, self.interrupted = run, log, display, interrupted
        self.checkpoints = RunCheckpoints(run)
        self.evaluations: list[Evaluation] = []
        self._losses_since = LossesSince()
        self._board: Any = None
        self._shown_spike = -SPIKE_LINES

    def train(self) -> None:
        """Run to the last step, or to the step after a signal; checkpoints as it goes.

        Raises:
            UserError: the loss or a gradient is not finite. The step is not taken and
                the last good checkpoint stays. Or a checkpoint could not be written.
        """
        run, options, total = self.run, self.run.options, self.run.total_steps
        eval_every, save_every = options.eval_steps(total), options.checkpoint_steps(total)
        first = step = run.progress.step
        with ExitStack() as stack:
            stack.enter_context(self.checkpoints.writer)
            self._board = stack.enter_context(tensorboard(run.folder, options.tensorboard, step))
            if step // save_every < (total - 1) // save_every:
                self.checkpoints.writer.reserve(run.tensors())
            # At step 0; later, when a signal cut the evaluation of this step short.
            if step % eval_every == 0 and step != run.progress.evaluated:
                self._evaluate()
                if step == run.saved_step:
                    self.checkpoints.begin(self.log)  # which then knows of the evaluation
            watched = step_profile.steps_to_watch(first, total) if options.profile else ()
            profiler = step_profile.StepProfiler(run.model)
            while step < total and not self.interrupted():
                looks = step in watched
                with profiler.watching(run.plan.batch(step)) if looks else nullcontext():
                    self.step()
                step = run.progress.step
                if step == first + 1 and options.verbose:
                    self._show_memory("after the first step")
                if step - 1 in watched and (step not in watched or self.interrupted()):
                    for line in profiler.profile().lines():
                        self.display.say(line)
                    self._show_memory(f"after {step:,} steps")
                if step % eval_every == 0 or step == total:
                    self._evaluate()
                if step % save_every == 0 and step != total:
                    self.checkpoints.begin(self.log)
            self.checkpoints.save_last(self.log)

    def _show_memory(self, when: str) -> None:
        self.display.say(memory_plan.in_use_line(self.run.memory_plan(), when))

    def step(self) -> None:
        """Make the next step, and write down how it went."""
        start = time.perf_counter()
        run, options, progress = self.run, self.run.options, self.run.progress
        step = progress.step
        self.checkpoints.writer.check()
        batch = run.plan.batch(step)
        loss = run.gradients(batch, step)
        norm = run.optimizer.gradient_norm()
        self.checkpoints.require_finite(step + 1, loss, norm)
        stall = self.checkpoints.writer.confirm()
        spike = self._spike(step + 1, loss, norm)
        rate = options.rate(step)
        if spike and options.on_spike == "skip":
            progress.skipped += 1
        else:
            run.optimizer.update(rate, norm)
        seconds, tokens = time.perf_counter() - start, len(batch.tokens)
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
        self._losses_since.add(loss)
        self.log.write(line)
        to_board(self._board, "train", line)
        self.display.step(progress.step, loss, tokens, seconds, rss)

    def _spike(self, step: int, loss: float, norm: float) -> Spike | None:
        """Tell of a spike at `step`; with `--on-spike stop`, save what was before and stop."""
        guard, wanted = self.run.guard, self.run.options.on_spike
        if wanted == "stop":
            before = guard.state()
        spike = guard.look(loss, norm)
        if spike is None:
            return None
        if wanted == "stop":
            guard.restore(before)  # the step was not made
            self.checkpoints.save_last(self.log)
            raise UserError(
                f"stopped before step {step}: {spike}; saved as {self.checkpoints.path()}: go on "
                "past it with --resume --on-spike skip, or with --resume and a lower --lr"
            )
        if step - self._shown_spike >= SPIKE_LINES:
            self._shown_spike = step
            then = "; its update is left out" if wanted == "skip" else ""
            self.display.say(f"step {step:,}: spike: {spike}{then}")
        return spike

    def _evaluate(self) -> None:
        """Held-out loss and sampled replies at this step.

        A signal cuts it short and nothing is written: the run does it again when it goes
        on. Only the last step's is always done, since no more comes after it.
        """
        run, options, progress = self.run, self.run.options, self.run.progress
        tokenizer, last = run.corpora.tokenizer, progress.step == run.total_steps
        interrupted: Callable[[], bool] = (lambda: False) if last else self.interrupted
        start = time.perf_counter()
        held_out = None
        if run.corpora.held_out is not None:
            held_out = held_out_loss(
                run.model, tokenizer, run.corpora.held_out,
                max_tokens=options.eval_tokens, interrupted=interrupted,
            )  # fmt: skip
        count = options.samples if progress.step else 0
        replies = sample_replies(run.model, tokenizer, count, interrupted=interrupted)
        if interrupted():
            return
        self.evaluations.append(
            Evaluation(progress.step, self._losses_since.mean_and_begin_anew(), held_out)
        )
        if held_out is not None:
            line = {
                "step": progress.step,
                "tokens": progress.tokens,
                "time_s": progress.time_s,
                "val_loss": held_out.loss,
                "val_bpb": held_out.bits_per_byte,
            }
            self.log.write(line)
            to_board(self._board, "held_out", line)
            self.display.held_out(progress.step, held_out.bits_per_byte, held_out.in_words())
        if replies:
            for prompt, reply in replies:
                self.display.one_line(f"  {prompt} → {reply or '(no reply)'}")
            lines = [f"  {prompt!r} → {reply!r}" for prompt, reply in replies]
            append_samples(run.folder.samples, progress.step, lines)
        progress.evaluated = progress.step
        # part of the run's length, as a person experiences it
        progress.time_s += time.perf_counter() - start


def train_run(run: TrainingRun, stop: StopSignal) -> Trainer:
    """Train a run to its end or to a signal, with its metrics file and a progress display."""
    with (
        stop.watching(),
        MetricsWriter(run.folder.metrics) as log,
        ProgressDisplay(run.total_steps, run.progress.step) as display,
    ):
        log.write(run.description())
        if run.change is not None:
            log.write(run.change)
            log.sync()  # before a step that depends on it
        trainer = Trainer(run, log, display, stop)
        trainer.train()
    return trainer
