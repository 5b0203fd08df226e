"""The loop of a fine-tuning: steps of persona and replay, evaluations, and what is kept.

It is a function of the files, the model and the options: the order follows from the seed,
dropout masks from seed and step, and the kernels give the same numbers for any threads.
"""

from __future__ import annotations

import itertools
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from vidya import kernels
from vidya.errors import UserError
from vidya.model import config, learning_rate
from vidya.model.adam import Adam
from vidya.posttraining.answer_batches import joined
from vidya.posttraining.evaluated_loop import EvaluatedLoop
from vidya.posttraining.finetuning.evaluation import (
    PersonaEvaluation,
    evaluation_table,
    in_words,
    told,
)
from vidya.posttraining.finetuning.measuring_time import MeasuringTime
from vidya.posttraining.finetuning.options import FinetuneOptions
from vidya.posttraining.finetuning.persona import Persona, mean_loss
from vidya.posttraining.finetuning.steps import (
    PersonaSteps,
    ReplyHold,
    Step,
    hold_on_replies,
)
from vidya.posttraining.gradient_step import WeightedObjective, gradients_of, update_if_finite
from vidya.posttraining.kept_weights import frozen_copy
from vidya.posttraining.persona_meter import PersonaMeter
from vidya.posttraining.replay_corpus import ReplayCorpus
from vidya.posttraining.token_objectives import held_to, mean_cross_entropy
from vidya.posttraining.trained_run import TrainedRun
from vidya.storage.metrics_log import describe_run
from vidya.system import process_memory
from vidya.terminal.formatting import duration, plural
from vidya.terminal.streams import say, show, show_next
from vidya.text.batch_plan import BatchPlan
from vidya.training import thread_choice


class FineTuning(EvaluatedLoop):
    """A trained model that learns a persona.

    Attributes:
        tokens: number of tokens trained on so far, replay included.
        evaluations: made so far, the first before any step.
    """

    def __init__(
        self, trained_run: TrainedRun, persona: Persona, corpus: ReplayCorpus | None,
        options: FinetuneOptions, files: Sequence[Path],
    ) -> None:  # fmt: skip
        """Plan the steps, for resolved options; `files`, of the persona, are for the log.

        Raises:
            UserError: nothing was held out that patience could look at.
        """
        assert options.epochs is not None and options.lr is not None
        assert isinstance(options.patience, int)
        if options.patience and persona.held_out is None:
            raise UserError(
                "nothing of the persona was held out for --patience to look at: give a "
                "--val-fraction (a larger one), or --patience 0"
            )
        self.persona, self.options, self._files = persona, options, files
        self._patience, self._peak = options.patience, options.lr
        model, share = trained_run.model, options.replay
        plan = BatchPlan(
            persona.taught, model.config.context, seed=options.seed,
            tokens_per_step=max(1, round(options.tokens_per_step * (1 - share))),
        )  # fmt: skip
        total = sum(plan.steps_in_epoch(epoch) for epoch in range(options.epochs))
        super().__init__(
            trained_run, corpus, total=total, eval_tokens=options.eval_tokens,
            eval_every=options.eval_every or -(-total // 8),
        )  # fmt: skip
        self._steps = iter(PersonaSteps(
            persona, plan, corpus, trained_run.tokenizer, options,
            context=model.config.context, total=total,
        ))  # fmt: skip
        held = corpus is not None and share > 0 and options.replay_loss == "kl"
        self._base_model = frozen_copy(model) if held else None
        self._reply_hold = ReplyHold()
        self.optimizer = Adam(model)
        self._meter = PersonaMeter(
            model, trained_run.tokenizer, persona.questions, corpus, seed=options.seed,
            interrupted=self.stop_signal,
        )  # fmt: skip
        self._measuring = MeasuringTime()
        self._lowest: PersonaEvaluation | None = None
        self._without_better = 0
        self.tokens = 0
        self.evaluations: list[PersonaEvaluation] = []
        self._kept: PersonaEvaluation | None = None

    def choose_threads(self) -> None:
        """Set the kernels' threads: as told, or as a step turns out fastest."""
        model, first = self.trained_run.model, next(self._steps)
        self._steps = itertools.chain([first], self._steps)
        tokens = sum(len(part.tokens) for part in first.parts)
        work = thread_choice.Workload(config.describe(model.config), tokens, model.precision)

        def step() -> None:
            self._gradients(first)
            self.optimizer.gradient_norm()

        thread_choice.choose(self.options.threads, work, step, lambda _: None)

    def description(self) -> dict[str, object]:
        """The first line of the log."""
        trained_run = self.trained_run
        described = describe_run(
            config=config.describe(trained_run.model.config),
            options=self.options.plain(),
            seed=self.options.seed,
            threads=kernels.get_num_threads(),
            precision=trained_run.model.precision,
            tokenizer_hash=trained_run.tokenizer.hash,
            corpus_hash=self.persona.hash,
            openblas=kernels.openblas_config(),
            init=trained_run.origin,
        )
        return {
            **described,
            "kind": "finetune",
            "files": [str(path) for path in self._files],
            "persona": {
                "questions": len(self.persona.questions),
                "questions_held_out": self.persona.questions_held_out,
                "never_asked": self.persona.never_asked,
            },
        }

    def _gradients(self, step: Step) -> float:
        """Gradients of a step; returns what it minimises."""
        model, options = self.trained_run.model, self.options
        replayed = [part for part in step[1:] if part is not None]
        if self._base_model is None or not replayed:
            seed = options.seed if options.dropout else None
            return model.loss_and_gradients(joined(step.parts), dropout_seed=seed, step=self.step)
        parts = [WeightedObjective(step.own, 1.0, mean_cross_entropy(step.own))]
        if step.windows is not None:
            held = held_to(self._base_model, step.windows)
            parts.append(WeightedObjective(step.windows, options.anchor, held))
        if step.replies is not None:
            held = self._reply_hold.objective(held_to(self._base_model, step.replies))
            weight = options.reply_anchor * hold_on_replies(self.step / self.total)
            parts.append(WeightedObjective(step.replies, weight * self._reply_hold.share, held))
        return gradients_of(model, parts)

    def take_step(self) -> None:
        """Learn from the next documents of the persona and their replay."""
        start, step = time.perf_counter(), next(self._steps)
        loss = self._gradients(step)
        rate = learning_rate.learning_rate(
            self.step,
            total_steps=self.total,
            peak=self._peak,
            warmup_steps=learning_rate.fit_warmup(self.options.warmup, self.total),
            floor=1.0 if self.options.schedule == "constant" else 0.0,
        )
        norm = update_if_finite(self.optimizer, loss, rate)
        self._reply_hold.end_step()
        seconds = time.perf_counter() - start
        tokens, rss = sum(len(part.tokens) for part in step.parts), process_memory.resident_bytes()
        self.step, self.tokens = self.step + 1, self.tokens + tokens
        self.log.write({
            "step": self.step, "tokens": self.tokens, "loss": loss, "lr": rate,
            "grad_norm": norm, "tokens_per_s": tokens / seconds, "time_s": self.time_s,
            "rss_bytes": rss,
        })  # fmt: skip
        self.display.step(self.step, loss, tokens, seconds, rss)

    def evaluate(self) -> None:
        """Measure the model as it is; a signal cuts it short and nothing is told.

        Between the steps it is measured when that was asked for, when patience looks at it, and
        else as often as it takes little of the time.
        """
        between = 0 < self.step < self.total
        wanted = self.options.eval_every is not None or self._patience
        if between and not wanted and not self._measuring.allows(self.time_s):
            return
        with self._measuring.counted(between=between):
            if self.step == 0:
                self._meter.before()
            one = self._measured(corpus=not between or self.options.eval_every is not None)
        if self.stop_signal():
            return
        self.evaluations.append(one)
        self._watch(one)
        self._tell(one)

    def _measured(self, *, corpus: bool) -> PersonaEvaluation:
        """What the weights are worth, on text of the base corpus too if that is wanted."""
        if self.step == self.total and not self._patience:
            return self._measured_fully(self.step)
        base = self.measure_corpus() if corpus else None
        return PersonaEvaluation(self.step, self._persona_loss(), base, self._meter.sample())

    def _measured_fully(self, step: int) -> PersonaEvaluation:
        """What the weights, those of a step, are worth in every way."""
        loss, base, scores = self._persona_loss(), self.measure_corpus(), self._meter.scores()
        return PersonaEvaluation(step, loss, base, scores.as_taught if scores else None, scores)

    def _persona_loss(self) -> float | None:
        held_out = self.persona.held_out
        return None if held_out is None else mean_loss(self.trained_run.model, held_out)

    def _tell(self, one: PersonaEvaluation) -> None:
        self.log.write({**one.line(), "time_s": self.time_s})
        if one.scores is None:  # the report tells of the others
            self.display.say(told(one, self.evaluations[0], self.persona.left_out))

    def _watch(self, one: PersonaEvaluation) -> None:
        """Keep the weights of the lowest persona loss, and lose patience without it."""
        if not self._patience or one.persona_loss is None:
            return
        if self._lowest is None or one.persona_loss < (self._lowest.persona_loss or 0.0):
            self._lowest, self._without_better = one, 0
            if one.step:
                self.good_weights.keep(one.step)
        else:
            self._without_better += 1
        self.stopped_early = self._without_better >= self._patience

    def finish(self) -> None:
        """Save the weights that are wanted: those of the lowest loss, or the last ones."""
        if self.good_weights.step is not None:
            step = self.good_weights.take_back()
            best = self._measured_fully(step)
            if not self.stop_signal() and self._lowest is not None:
                self.evaluations[self.evaluations.index(self._lowest)] = self._lowest = best
                self._tell(best)
            self._save(step, self._lowest)
        elif self.step and self._patience and self.evaluations[-1].step:
            raise UserError(
                "the held-out loss of the persona never fell below what it was before: "
                "nothing was saved; give a lower --lr, more text, or --patience 0"
            )
        elif self.step:
            last = self.evaluations[-1]
            self._save(self.step, last if last.step == self.step else None)

    def save_before_error(self) -> None:
        """Save the weights of the lowest loss, where patience has kept some."""
        if self.good_weights.step is not None:
            self._save(self.good_weights.take_back(), self._lowest)

    def _save(self, step: int, evaluation: PersonaEvaluation | None) -> None:
        """Save the weights as they are, which are those of `step`."""
        self.log.sync()
        details: dict[str, object] = {
            "steps": step,
            "options": self.options.plain(),
            "persona_hash": self.persona.hash,
        }
        if evaluation is not None:
            details["evaluation"] = {
                name: value for name, value in evaluation.line().items() if value is not None
            }
        self.trained_run.save("finetuned", {"finetuning": details})
        self.saved_step, self._kept = step, evaluation

    def report(self) -> None:
        """Show what changed, and say what was saved."""
        path = self.trained_run.path
        left_out = self.persona.left_out
        for line in in_words(self._kept, self.evaluations[0], left_out) if self._kept else ():
            show(line)
        if self.evaluations:
            show("\n".join(evaluation_table(self.evaluations, self._kept, left_out)))
        if self.saved_step is None:
            say("stopped before the first step: nothing was saved")
        elif self.interrupted:
            say(
                f"stopped after step {self.step:,} of {self.total:,}; the weights of step "
                f"{self.saved_step:,} are saved as {path}"
            )
        else:
            early = f", of which those of step {self.saved_step:,} are kept" * self.stopped_early
            show(
                f"fine-tuned in {plural(self.step, 'step')}{early}, {self.tokens:,} tokens, "
                f"{duration(self.time_s)}\nmodel: {path}"
            )
            show_next([("talk to it", f"python -m vidya.chat {shlex.quote(str(path.parent))}")])
            show("chat takes this model by itself; the one that it began with is as it was")
