"""The loop of a fine-tuning: steps of persona and replay, evaluations, and what is kept.

It is a function of the files, the model and the options: the order follows from the seed,
dropout masks from seed and step, and the kernels give the same numbers for any threads.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from vidya.errors import UserError
from vidya.generation.generator import Generator
from vidya.generation.replies import MOST_TOGETHER
from vidya.measuring.held_out_loss import held_out_loss
from vidya.measuring.taught_recall import Recall, measure_recall
from vidya.model import config, learning_rate
from vidya.model.adam import Adam
from vidya.model.transformer import Model
from vidya.posttraining.answer_batches import joined
from vidya.posttraining.finetuning.evaluation import PersonaEvaluation, evaluation_cells
from vidya.posttraining.finetuning.mixture import Mixture
from vidya.posttraining.finetuning.options import EVALUATIONS, FinetuneOptions
from vidya.posttraining.finetuning.persona import Persona, mean_loss
from vidya.posttraining.replay_corpus import ReplayCorpus
from vidya.posttraining.trained_run import TrainedRun
from vidya.posttraining.weighted_objectives import (
    WeightedObjective,
    gradients_of,
    held_to,
    mean_cross_entropy,
)
from vidya.storage import metrics_log
from vidya.system import process_memory
from vidya.system.stop_signal import StopSignal
from vidya.terminal.progress_display import ProgressDisplay
from vidya.text.batch_plan import Batch, BatchPlan
from vidya.training import thread_choice

MOST_QUESTIONS = 200
"""Asked at an evaluation; of more, so many are taken at even distances."""


# ---------------------------------------------------------------- the loop


class FineTuning:
    """A student that learns a persona.

    Attributes:
        total: steps there are to make.
        step: how many are made.
        tokens: trained on so far, replay included.
        evaluations: made so far, the first before any step.
        kept: the evaluation of the weights that were saved, where there is one.
        saved_step: the step of the weights that were saved; None where none were.
        stopped_early: whether patience ran out.
    """

    def __init__(
        self,
        student: TrainedRun,
        persona: Persona,
        base: ReplayCorpus | None,
        options: FinetuneOptions,
    ) -> None:
        """Plan the steps.

        Args:
            student: the model; it changes.
            persona: what it learns.
            base: to replay and to measure on; may be None only without replay.
            options: resolved.

        Raises:
            UserError: nothing was held out that patience could look at.
        """
        assert options.epochs is not None and options.lr is not None
        assert isinstance(options.patience, int)
        if options.patience and persona.held_out is None:
            raise UserError(
                "the persona is so small that nothing of it was held out: give a larger "
                "--val-fraction, or --patience 0"
            )
        self.student, self.persona, self.base, self.options = student, persona, base, options
        self._patience, self._peak = options.patience, options.lr
        self._dropout_seed = options.seed if options.dropout else None
        context, share = student.model.config.context, options.replay
        plan = BatchPlan(
            persona.taught, context, seed=options.seed,
            tokens_per_step=max(1, round(options.tokens_per_step * (1 - share))),
        )  # fmt: skip
        self.total = sum(plan.steps_in_epoch(epoch) for epoch in range(options.epochs))
        replay = base.replay(context, options.seed) if base is not None and share else None
        self.mixture = Mixture(plan, replay, share)
        self._base_model: Model | None = None
        if replay is not None and options.replay_loss == "kl":
            self._base_model = Model(student.model.config, max_tokens=student.model.max_tokens)
            self._base_model.flat[...] = student.model.flat
        self.optimizer = Adam(student.model)
        self.interrupted = StopSignal()
        every = -(-len(persona.questions) // MOST_QUESTIONS)
        self._questions = persona.questions[:: max(1, every)]
        self._generator: Generator | None = None
        self._least: tuple[float, NDArray[Any] | None, PersonaEvaluation] | None = None
        self._without_better = 0
        self.step = self.tokens = 0
        self.time_s = 0.0
        self.evaluations: list[PersonaEvaluation] = []
        self.kept: PersonaEvaluation | None = None
        self.saved_step: int | None = None
        self.stopped_early = False

    def choose_threads(self, say: Callable[[str], None]) -> None:
        """Set the kernels' threads: as told, or as a step turns out fastest."""
        model, (own, windows) = self.student.model, next(self.mixture.steps())
        tokens = self.mixture.tokens(own, windows)
        work = thread_choice.Workload(config.describe(model.config), tokens, model.precision)

        def step() -> None:
            self._gradients(own, windows)
            self.optimizer.gradient_norm()

        thread_choice.choose(self.options.threads, work, step, say)

    def run(self, log: metrics_log.MetricsWriter, display: ProgressDisplay) -> None:
        """Train to the last step, to a signal, or until patience runs out; then save.

        Raises:
            UserError: the loss or a gradient is not finite, patience saw no evaluation that
                was better than the first, or the weights could not be written.
        """
        every = self.options.eval_every or -(-self.total // EVALUATIONS)
        self._evaluate(log, display)
        steps = self.mixture.steps()
        while self.step < self.total and not self.interrupted() and not self.stopped_early:
            self._take_step(*next(steps), log, display)
            if self.step % every == 0 or self.step == self.total:
                self._evaluate(log, display)
        self._finish(log)

    # ---- steps -------------------------------------------------------------------

    def _gradients(self, own: Batch, windows: Batch | None) -> float:
        """Gradients of a step; returns what it minimises."""
        model = self.student.model
        if windows is None or self._base_model is None:
            batch = own if windows is None else joined([own, windows])
            return model.loss_and_gradients(batch, dropout_seed=self._dropout_seed, step=self.step)
        held = held_to(self._base_model, windows, [])
        return gradients_of(
            model,
            [
                WeightedObjective(own, 1.0, mean_cross_entropy(own)),
                WeightedObjective(windows, self.options.anchor, held),
            ],
        )

    def _take_step(
        self,
        own: Batch,
        windows: Batch | None,
        log: metrics_log.MetricsWriter,
        display: ProgressDisplay,
    ) -> None:
        start = time.perf_counter()
        options = self.options
        loss = self._gradients(own, windows)
        norm = self.optimizer.gradient_norm()
        self._require_finite(loss, norm)
        rate = learning_rate.learning_rate(
            self.step,
            total_steps=self.total,
            peak=self._peak,
            warmup_steps=learning_rate.fit_warmup(options.warmup, self.total),
            floor=1.0 if options.schedule == "constant" else 0.0,
        )
        self.optimizer.update(rate, norm)
        seconds = time.perf_counter() - start
        tokens, rss = self.mixture.tokens(own, windows), process_memory.resident_bytes()
        self.step, self.tokens = self.step + 1, self.tokens + tokens
        self.time_s += seconds
        log.write({
            "step": self.step, "tokens": self.tokens, "loss": loss, "lr": rate,
            "grad_norm": norm, "tokens_per_s": tokens / seconds, "time_s": self.time_s,
            "rss_bytes": rss,
        })  # fmt: skip
        display.step(self.step, loss, tokens, seconds, rss)

    def _require_finite(self, loss: float, norm: float) -> None:
        """Stop before the step changes anything, unless both are finite."""
        if math.isfinite(loss) and math.isfinite(norm):
            return
        name, then = self.student.path.name, "nothing was saved"
        if self._keep_least():
            self._save()
            then = f"the best so far, of step {self.saved_step}, is saved as {name}"
        elif self.student.path.exists():
            then += f", {name} is what it was"
        what = f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient norm is {norm}"
        raise UserError(f"stopped at step {self.step + 1}: {what}; {then}: give a lower --lr")

    # ---- evaluations ---------------------------------------------------------------

    def _evaluate(self, log: metrics_log.MetricsWriter, display: ProgressDisplay) -> None:
        """Measure the model as it is; a signal cuts it short and nothing is told."""
        start = time.perf_counter()
        held_out, model = self.persona.held_out, self.student.model
        loss = None if held_out is None else mean_loss(model, held_out)
        base = None
        if self.base is not None and self.base.held_out is not None:
            base = held_out_loss(
                model, self.student.tokenizer, self.base.held_out,
                max_tokens=self.options.eval_tokens, interrupted=self.interrupted,
            )  # fmt: skip
        recall = self._measure_recall()
        if self.interrupted():
            return
        one = PersonaEvaluation(self.step, loss, base, recall)
        self.evaluations.append(one)
        self._watch(one)
        self.time_s += time.perf_counter() - start
        log.write({**one.line(), "time_s": self.time_s})
        persona_loss, bits, answered = evaluation_cells(one, self.evaluations[0])
        when = f"step {one.step:,}" if one.step else "before"
        display.say(
            f"{when}: persona, held-out loss {persona_loss}; base corpus {bits.strip()} bits per "
            f"byte; answered as taught: {answered}"
        )

    def _measure_recall(self) -> Recall | None:
        if not self._questions:
            return None
        tokenizer = self.student.tokenizer
        if self._generator is None:
            slots = min(MOST_TOGETHER, len(self._questions))
            self._generator = Generator(
                self.student.model, slots=slots, turn_starts=[tokenizer.user_id]
            )
        self._generator.refresh()
        return measure_recall(
            self._generator, tokenizer, self._questions, interrupted=self.interrupted
        )

    def _watch(self, one: PersonaEvaluation) -> None:
        """Remember the weights of the lowest persona loss, and lose patience without it."""
        if not self._patience or one.persona_loss is None:
            return
        if self._least is None or one.persona_loss < self._least[0]:
            weights = self.student.model.flat.copy() if one.step else None
            self._least, self._without_better = (one.persona_loss, weights, one), 0
        else:
            self._without_better += 1
        self.stopped_early = self._without_better >= self._patience

    # ---- the end -------------------------------------------------------------------

    def _finish(self, log: metrics_log.MetricsWriter) -> None:
        """Save the weights that are wanted: those of the lowest loss, or the last ones."""
        if not self._keep_least():
            if self.step and self._patience and self.evaluations[-1].step:
                raise UserError(
                    "the held-out loss of the persona never fell below what it was before: "
                    "nothing was saved; give a lower --lr, more text, or --patience 0"
                )
            if self.step:
                self.saved_step = self.step
                last = self.evaluations[-1]
                self.kept = last if last.step == self.step else None
        if self.saved_step is not None:
            log.sync()
            self._save()

    def _keep_least(self) -> bool:
        """Go back to the weights of the lowest loss; False where there are none."""
        if self._least is None or self._least[1] is None:
            return False
        self.student.model.flat[...] = self._least[1]
        self.kept = self._least[2]
        self.saved_step = self.kept.step
        return True

    def _save(self) -> None:
        details: dict[str, object] = {
            "steps": self.saved_step,
            "options": self.options.plain(),
            "persona_hash": self.persona.hash,
        }
        if self.kept is not None:
            details["evaluation"] = {
                name: value for name, value in self.kept.line().items() if value is not None
            }
        self.student.save("finetuned", {"finetuning": details})
