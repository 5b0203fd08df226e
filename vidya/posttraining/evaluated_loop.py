"""The loop of fine-tuning and reinforcement learning: steps, and evaluations between them.

The model is evaluated before the first step, after every so many and after the last. A signal
stops the loop between two steps. Whatever ends it, weights that are worth it are saved.
"""

from __future__ import annotations

import contextlib
import time
from abc import ABC, abstractmethod
from pathlib import Path

from vidya.errors import UserError
from vidya.measuring.held_out_loss import HeldOutLoss, held_out_loss
from vidya.posttraining.gradient_step import NotFiniteError
from vidya.posttraining.kept_weights import KeptWeights
from vidya.posttraining.replay_corpus import ReplayCorpus
from vidya.posttraining.trained_run import TrainedRun
from vidya.storage.metrics_log import MetricsWriter
from vidya.system.stop_signal import StopSignal
from vidya.terminal.progress_display import ProgressDisplay


class EvaluatedLoop(ABC):
    """A trained model that changes step by step, with its log and its progress display.

    Attributes:
        trained_run: the model, which changes, and where it lives.
        held_out_text: of the corpus, to measure what the model forgets; None where there is none.
        total: number of steps there are to make.
        step: number of steps that the weights have behind them.
        saved_step: the step of the weights that were saved; None where none were.
        stopped_early: whether an evaluation said that this is the end.
        good_weights: the weights of an evaluation that can be returned to.
        stop_signal: whether SIGINT or SIGTERM came.
    """

    remedy = "give a lower --lr"
    """What to do about a loss or a gradient that is not finite."""
    log: MetricsWriter
    display: ProgressDisplay

    def __init__(
        self, trained_run: TrainedRun, corpus: ReplayCorpus | None, *,
        total: int, eval_every: int, eval_tokens: int,
    ) -> None:  # fmt: skip
        """Make ready; `corpus` is what the model was trained on, where that is known."""
        self.trained_run, self.total = trained_run, total
        self.held_out_text = None if corpus is None else corpus.held_out
        self._eval_every, self._eval_tokens = eval_every, eval_tokens
        self.step = 0
        self.saved_step: int | None = None
        self.stopped_early = False
        self.good_weights = KeptWeights(trained_run.model.flat)
        self.stop_signal = StopSignal()
        self._began = time.monotonic()

    def run(self, log: Path) -> int:
        """Make all steps, or as many as there are before the end, save and report.

        Args:
            log: takes a line that describes the run, and one for each step and evaluation.

        Returns:
            The exit status: 128 and the number of the signal that interrupted it, or 0.

        Raises:
            UserError: a loss is not finite, what a step calls failed, or the disk is full;
                the error says what was saved before.
        """
        self.trained_run.furnish()
        with (
            self.stop_signal.watching(),
            MetricsWriter(log) as self.log,
            ProgressDisplay(self.total, 0) as self.display,
        ):
            self._began = time.monotonic()
            self.log.write(self.description())
            try:
                self.evaluate()
                while self.step < self.total and not (self.stopped_early or self.stop_signal()):
                    self.take_step()
                    if self.step % self._eval_every == 0 or self.step == self.total:
                        self.evaluate()
                self.finish()
            except UserError as error:
                raise UserError(self._with_what_is_saved(error)) from error
        self.report()
        signal = self.stop_signal.signal
        return 128 + signal if signal and self.interrupted else 0

    @abstractmethod
    def description(self) -> dict[str, object]:
        """The first line of the log: what is needed to repeat the run."""

    @abstractmethod
    def take_step(self) -> None:
        """Make the next step, log and show it; `NotFiniteError` before it spoils anything."""

    @abstractmethod
    def evaluate(self) -> None:
        """Measure the model, log and show it, and decide about its weights."""

    @abstractmethod
    def finish(self) -> None:
        """Save the weights that are wanted."""

    @abstractmethod
    def save_before_error(self) -> None:
        """Save what is worth it, if anything is, before an error is told."""

    @abstractmethod
    def report(self) -> None:
        """Show what the steps changed, and say what was saved."""

    @property
    def time_s(self) -> float:
        """Seconds since the loop began."""
        return time.monotonic() - self._began

    @property
    def interrupted(self) -> bool:
        """Whether a signal came before the loop was at its end."""
        return self.stop_signal() and self.step < self.total and not self.stopped_early

    def measure_corpus(self) -> HeldOutLoss | None:
        """Loss on held-out text of the corpus; None where there is none, or after a signal."""
        if self.held_out_text is None:
            return None
        return held_out_loss(
            self.trained_run.model, self.trained_run.tokenizer, self.held_out_text,
            max_tokens=self._eval_tokens, interrupted=self.stop_signal,
        )  # fmt: skip

    def _with_what_is_saved(self, error: UserError) -> str:
        """Save what is worth it; the error with what there is of that, in one line."""
        failed, path, saved = self.step + 1, self.trained_run.path, ""
        with contextlib.suppress(UserError):
            self.save_before_error()
        if self.saved_step:
            saved = f"the weights of step {self.saved_step:,} are saved as {path.name}"
        if not isinstance(error, NotFiniteError):
            return f"{error} ({saved})" if saved else str(error)
        if not saved:
            saved = "nothing was saved" + f", {path.name} is what it was" * path.exists()
        return f"stopped at step {failed:,}: {error}; {saved}: {self.remedy}"
