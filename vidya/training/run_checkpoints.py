"""The checkpoints of a run: when one is begun, when it counts, and which are deleted."""

from __future__ import annotations

import math
from pathlib import Path

from vidya.errors import UserError
from vidya.storage import checkpoint, checkpoint_folder
from vidya.storage.background_checkpoint import CheckpointWriter
from vidya.storage.metrics_log import MetricsWriter
from vidya.training import disk_plan
from vidya.training.training_run import TrainingRun


class RunCheckpoints:
    """Writes the checkpoints of a run, beside its steps where it can."""

    def __init__(self, run: TrainingRun) -> None:
        self.run = run
        self.writer = CheckpointWriter()

    def path(self) -> Path:
        """The training checkpoint of this step."""
        return self.run.folder.checkpoint(self.run.base, self.run.progress.step)

    def begin(self, log: MetricsWriter) -> None:
        """Start a training checkpoint of this step; the next one confirms it."""
        run = self.run
        self.writer.begin(
            self.path(), run.tensors(), run.metadata("training"),
            # a run goes on after the lines of its checkpoint's step, so these must be there
            before=log.sync, after=self._prune,
        )  # fmt: skip
        run.saved_step = run.progress.step

    def save_last(self, log: MetricsWriter) -> None:
        """Have a checkpoint of this step on the disk, after which no other comes.

        At the last step the weights to use are written first: a run whose last training
        checkpoint is there counts as finished.

        Raises:
            UserError: the model of this step cannot be trained on; nothing is written.
        """
        run, step = self.run, self.run.progress.step
        if step == run.saved_step and not self.writer.undecided:
            self.writer.finish()
            return
        self._require_trainable()
        self.writer.confirm()
        self.writer.finish()
        if step == run.saved_step:
            return
        log.sync()
        if step == run.total_steps:
            path = run.folder.checkpoint(run.base)
            checkpoint.save(path, run.model.parameters, run.metadata("final"))
        checkpoint.save(self.path(), run.tensors(), run.metadata("training"))
        self._prune()
        run.saved_step = step

    def save_now(self) -> Path:
        """Write a training checkpoint of this step as a run does, and wait for it."""
        run, path = self.run, self.path()
        nothing = lambda: None  # noqa: E731
        self.writer.begin(
            path, run.tensors(), run.metadata("training"), before=nothing, after=nothing
        )
        self.writer.confirm()
        self.writer.finish()
        return path

    def require_finite(self, step: int, loss: float, norm: float) -> None:
        """Stop the run at `step`, before it changes anything, unless both are finite."""
        if math.isfinite(loss) and math.isfinite(norm):
            return
        self.writer.finish()  # what is good and on its way; the model of this step is not
        what = f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient norm is {norm}"
        saved = checkpoint_folder.training_checkpoints(self.run.folder.path, self.run.base)
        if saved:
            then = f"the last good checkpoint is {saved[0]}; go on from it with --resume and"
        else:
            then = "no checkpoint had been written yet; start again with --overwrite and"
        raise UserError(f"stopped at step {step}: {what}; {then} a lower --lr")

    def _require_trainable(self) -> None:
        """Refuse weights that the next step fails on: they would push out a good checkpoint.

        The loss of such weights may still be finite. To be sure, the next step is tried.
        While training goes on that step comes anyway; here none does.
        """
        run, step = self.run, self.run.progress.step
        loss = run.gradients(run.plan.batch(step), step)
        self.require_finite(step + 1, loss, run.optimizer.gradient_norm())

    def _prune(self) -> None:
        """Delete checkpoints that --keep does not cover."""
        run = self.run
        every = run.options.checkpoint_steps(run.total_steps)
        milestones = checkpoint_folder.milestone_steps(every)
        checkpoint_folder.prune(run.folder.path, run.base, run.options.keep, milestones)


def require_room_for_checkpoints(run: TrainingRun) -> None:
    """Raise `UserError` if the checkpoints of a run that are to come do not fit on the disk."""
    disk_plan.require_room(
        run.folder.path,
        run.base,
        parameters=run.model.flat.size,
        total_steps=run.total_steps,
        every=run.options.checkpoint_steps(run.total_steps),
        keep=run.options.keep,
    )
