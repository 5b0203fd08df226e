"""The loop of a fine-tuning: steps of persona and replay, evaluations, and what is kept.

It is a function of the files, the model and the options: the order follows from the seed,
dropout masks from seed and step, and the kernels give the same numbers for any threads.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from vidya import config, metrics, schedule, thread_choice
from vidya.answers import joined
from vidya.base_corpus import BaseCorpus
from vidya.batches import Batch, BatchPlan
from vidya.errors import UserError
from vidya.evaluate import HeldOut, evaluate
from vidya.finetune_options import EVALUATIONS, FinetuneOptions
from vidya.generate import Generator
from vidya.interruption import Interruption
from vidya.model import Model
from vidya.optimizer import Adam
from vidya.persona import Persona
from vidya.progress import Display
from vidya.recall import Recall, measure_recall
from vidya.replies import MOST_TOGETHER
from vidya.step_parts import Part, gradients_of, held_to, mean_cross_entropy
from vidya.student import Student

MOST_QUESTIONS = 200
"""Asked at an evaluation; of more, so many are taken at even distances."""


# ---------------------------------------------------------------- batches


class Mixture:
    """Steps that take a share of their tokens from another corpus.

    The persona's documents are whole windows of their plan; windows of replay follow until
    they have their share of all tokens so far, so a step may hold a little more or less.
    """

    def __init__(self, persona: BatchPlan, replay: BatchPlan | None, share: float) -> None:
        self._persona, self._replay, self._share = persona, replay, share

    @staticmethod
    def tokens(own: Batch, windows: Batch | None) -> int:
        """Tokens of a step."""
        return len(own.tokens) + (0 if windows is None else len(windows.tokens))

    def steps(self) -> Iterator[tuple[Batch, Batch | None]]:
        """What each step has of the persona and of replay, from the first on, without end."""
        step = replayed = 0
        owed = 0.0
        while True:
            own, windows = self._persona.batch(step), []
            if self._replay is not None:
                owed += len(own.tokens) * self._share / (1 - self._share)
                while owed > 0:
                    windows.append(self._replay.batch(replayed))
                    owed -= len(windows[-1].tokens)
                    replayed += 1
            yield own, joined(windows) if windows else None
            step += 1


# ---------------------------------------------------------------- evaluations


@dataclass(frozen=True)
class Evaluation:
    """What the model was worth after some steps; None for what there is nothing to measure on."""

    step: int
    persona_loss: float | None
    """On the held-out part of the persona, nats per token that counts."""
    base: HeldOut | None
    """On held-out text of the corpus that it was trained on."""
    recall: Recall | None
    """Of the questions that it is taught to answer."""

    def line(self) -> dict[str, object]:
        """For the metrics."""
        base, recall = self.base, self.recall
        return {
            "step": self.step,
            "persona_loss": self.persona_loss,
            "base_loss": base and base.loss,
            "base_bpb": base and base.bits_per_byte,
            "questions": recall and recall.questions,
            "answered": recall and recall.answered,
            "exact": recall and recall.exact,
            "f1": recall and recall.f1,
        }


def table(evaluations: Sequence[Evaluation], kept: Evaluation | None) -> list[str]:
    """Lines that show what changed; the row of the weights that were saved is marked."""
    first = evaluations[0]
    rows = [("", "persona loss", "base bits per byte", "answered as taught")]
    for one in evaluations:
        rows.append((f"step {one.step:,}" if one.step else "before", *cells(one, first)))
    marks = ["", *("  <- saved" if one is kept else "" for one in evaluations)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        (
            row[0].ljust(widths[0])
            + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
            + mark
        ).rstrip()
        for row, mark in zip(rows, marks, strict=True)
    ]


def cells(one: Evaluation, first: Evaluation) -> tuple[str, str, str]:
    """Persona loss, bits per byte of the base corpus with its change, questions answered."""
    loss = "-" if one.persona_loss is None else f"{one.persona_loss:.4f}"
    bits = recall = "-"
    if one.base is not None and first.base is not None:
        bits = f"{one.base.bits_per_byte:.4f}"
        change = one.base.bits_per_byte / first.base.bits_per_byte - 1
        bits += f" ({change:+.2%})" if one is not first else " " * len(" (+0.00%)")
    if one.recall is not None:
        recall = f"{one.recall.answered} of {one.recall.questions} ({one.recall.share:.0%})"
    return loss, bits, recall


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
        student: Student,
        persona: Persona,
        base: BaseCorpus | None,
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
        self.interrupted = Interruption()
        every = -(-len(persona.questions) // MOST_QUESTIONS)
        self._questions = persona.questions[:: max(1, every)]
        self._generator: Generator | None = None
        self._least: tuple[float, NDArray[Any] | None, Evaluation] | None = None
        self._without_better = 0
        self.step = self.tokens = 0
        self.time_s = 0.0
        self.evaluations: list[Evaluation] = []
        self.kept: Evaluation | None = None
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

    def run(self, log: metrics.MetricsWriter, display: Display) -> None:
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
            [Part(own, 1.0, mean_cross_entropy(own)), Part(windows, self.options.anchor, held)],
        )

    def _take_step(
        self, own: Batch, windows: Batch | None, log: metrics.MetricsWriter, display: Display
    ) -> None:
        start = time.perf_counter()
        options = self.options
        loss = self._gradients(own, windows)
        norm = self.optimizer.gradient_norm()
        self._require_finite(loss, norm)
        rate = schedule.learning_rate(
            self.step,
            total_steps=self.total,
            peak=self._peak,
            warmup_steps=schedule.fit_warmup(options.warmup, self.total),
            floor=1.0 if options.schedule == "constant" else 0.0,
        )
        self.optimizer.update(rate, norm)
        seconds = time.perf_counter() - start
        tokens, rss = self.mixture.tokens(own, windows), metrics.rss_bytes()
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

    def _evaluate(self, log: metrics.MetricsWriter, display: Display) -> None:
        """Measure the model as it is; a signal cuts it short and nothing is told."""
        start = time.perf_counter()
        held_out, model = self.persona.held_out, self.student.model
        loss = None if held_out is None else held_out.loss(model)
        base = None
        if self.base is not None and self.base.held_out is not None:
            base = evaluate(
                model, self.student.tokenizer, self.base.held_out,
                max_tokens=self.options.eval_tokens, interrupted=self.interrupted,
            )  # fmt: skip
        recall = self._measure_recall()
        if self.interrupted():
            return
        one = Evaluation(self.step, loss, base, recall)
        self.evaluations.append(one)
        self._watch(one)
        self.time_s += time.perf_counter() - start
        log.write({**one.line(), "time_s": self.time_s})
        persona_loss, bits, answered = cells(one, self.evaluations[0])
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

    def _watch(self, one: Evaluation) -> None:
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

    def _finish(self, log: metrics.MetricsWriter) -> None:
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
