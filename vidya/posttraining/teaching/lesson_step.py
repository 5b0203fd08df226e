"""One step of a lesson: what the model says in it, and the gradients if there is more to learn.

The forward pass tells whether the answer is known, and then no backward pass is made.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from vidya.model import objectives
from vidya.model.backbone import Above
from vidya.model.transformer import Array, Model, Objective
from vidya.posttraining.answer_batches import joined, reply_starts
from vidya.posttraining.gradient_step import WeightedObjective, weighted_sum
from vidya.posttraining.teaching.methods import LessonAnswers
from vidya.posttraining.teaching.options import LessonSettings
from vidya.posttraining.teaching.practice import StepTexts
from vidya.posttraining.token_objectives import divergence_from, mean_cross_entropy
from vidya.text.batch_plan import Batch

OWN = 1.0
"""What the answer of a lesson counts beside a rehearsed one: it is in every step."""
MARGIN = 0.5
"""By how much each token of an answer shall be likelier than any other, in nats: an answer that is
only just said is lost by the next lesson."""
_FORGOTTEN = 1
"""Rehearsed answers of a step that may be missing for a lesson to end: the next one has them."""


def margins(batch: Batch, logits: Array) -> Array:
    """By how much each answer of a batch is the greedy reply, [answers], in nats.

    That is the least, over its tokens, of the token's log-probability less that of the likeliest
    other one; below 0 the reply is another.
    """
    targets = batch.targets[batch.targets >= 0]
    rows = np.arange(len(targets))
    others = logits.copy()
    others[rows, targets] = -np.inf
    ahead = logits[rows, targets] - others.max(axis=1)
    least: Array = np.minimum.reduceat(ahead, reply_starts(batch)[:-1])
    return least


@dataclass(frozen=True)
class Seen:
    """What the model said in a step, before its update."""

    says_it: bool | None
    """Whether the right answer is the greedy reply to the question; None: there is none."""
    done: bool
    """Whether there is nothing more to learn here."""
    loss: float | None
    """Of the right answer to the question as it stands, nats a token."""
    drift: float | None
    """KL(base || model) where the model is held, nats a token."""
    likeliest: tuple[list[int], ...]
    """At each token of the held texts' replies the id that the model finds likeliest."""
    rehearsed: tuple[bool, ...]
    """Which rehearsed answers are known, by as much as the lesson's own shall be."""
    objective: float
    """What the step minimises."""


class LessonStep:
    """What the steps of one lesson have in common."""

    def __init__(
        self, model: Model, reference: Model, layer: int, settings: LessonSettings,
        chosen: LessonAnswers | None, preference: Objective | None, *, same_below: bool,
    ) -> None:  # fmt: skip
        """Make ready.

        Args:
            model: that learns.
            reference: the base model.
            layer: the block that learning begins with.
            settings: of the lesson.
            chosen: all its answers, where the method learns from more than the right one.
            preference: what the method minimises of them.
            same_below: whether both models are the same below `layer`.
        """
        self._model, self._reference, self._layer = model, reference, layer
        self._settings, self._same_below = settings, same_below
        self._chosen, self._preference = chosen, preference

    def look(self, texts: StepTexts, *, learn: bool, go_on: bool = False) -> Seen:
        """Ask in all the ways of a step, and make the gradients of it.

        Args:
            texts: of the step.
            learn: make them at all.
            go_on: make them even if it turns out that there is nothing more to learn.
        """
        parts, held_from = self._parts(texts)
        everything = joined([part.batch for part in parts])
        above = self._model.entering(everything, self._layer)
        if texts.held is not None:
            of_held = Above(self._layer, above.stream[held_from:]) if self._same_below else None
            base = objectives.log_softmax(self._reference.logits(texts.held, of_held))
            # replies and the window have a mean each: the longer one would hold alone
            ends = reply_starts(texts.held)[-2:-1].tolist() if texts.window else []
            held = divergence_from(base, ends)
            parts[-1] = WeightedObjective(texts.held, self._settings.anchor, held)
        if not learn:
            return self._seen(texts, self._model.logits(everything, above), parts)
        rows: list[Array] = []
        count = int(np.count_nonzero(everything.targets >= 0))
        minimised = weighted_sum(parts)
        seen: list[Seen] = []

        def objective(first: int, logits: Array) -> tuple[float, Array]:
            rows.append(logits)
            if first + len(logits) == count:
                seen.append(self._seen(texts, np.concatenate(rows), parts))
                if seen[0].done and not go_on:
                    raise _DoneError
            return minimised(first, logits)

        try:
            value = self._model.objective_and_gradients(everything, objective, above)
        except _DoneError:
            return seen[0]
        return dataclasses.replace(seen[0], objective=value)

    def _parts(self, texts: StepTexts) -> tuple[list[WeightedObjective], int]:
        """What is minimised, what the model is held to last, and the token where that begins.

        That one has no objective yet: it needs what the base model says.
        """
        own: list[tuple[Batch, Objective]] = []
        if self._chosen is not None and self._preference is not None:
            own.append((self._chosen.batch, self._preference))
        if texts.own is not None:
            own.append((texts.own, mean_cross_entropy(texts.own)))
        others = 0 if texts.rehearsed is None else len(texts.rehearsed.offsets) - 1
        share = OWN / (OWN + others)
        parts = [WeightedObjective(batch, share / len(own), minimised) for batch, minimised in own]
        if texts.rehearsed is not None:
            known = mean_cross_entropy(texts.rehearsed)
            parts.append(WeightedObjective(texts.rehearsed, 1 - share, known))
        begin = sum(len(part.batch.tokens) for part in parts)
        if texts.held is not None:
            nothing = mean_cross_entropy(texts.held)
            parts.append(WeightedObjective(texts.held, self._settings.anchor, nothing))
        return parts, begin

    def _seen(self, texts: StepTexts, logits: Array, parts: list[WeightedObjective]) -> Seen:
        """What all rows of logits of a step's parts say."""
        counts = [int(np.count_nonzero(part.batch.targets >= 0)) for part in parts]
        rows = iter(np.split(logits, np.cumsum(counts)[:-1]))
        done, says_it, loss, drift = True, None, None, None
        likeliest: tuple[list[int], ...] = ()
        rehearsed: tuple[bool, ...] = ()
        if self._chosen is not None:
            said = margins(self._chosen.batch, next(rows))
            if not self._chosen.right:
                done = bool((said < 0).all())
        if texts.own is not None:
            own = next(rows)
            ahead = margins(texts.own, own)
            says_it, done = bool(ahead[0] > 0), bool((ahead > MARGIN).all())
            end = int(reply_starts(texts.own)[1])
            targets = texts.own.targets[texts.own.targets >= 0][:end]
            some = objectives.token_logprobs(objectives.log_softmax(own[:end]), targets)
            loss = -float(some.mean())
        if texts.rehearsed is not None:
            ahead = margins(texts.rehearsed, next(rows))
            rehearsed = tuple((ahead > MARGIN).tolist())
            done = done and bool(np.count_nonzero(ahead <= 0) <= _FORGOTTEN)
        if texts.held is not None:
            held = next(rows)
            drift, _ = parts[-1].objective(0, held)
            ids = held.argmax(axis=1)
            likeliest = tuple(
                some.tolist() for some in np.split(ids, reply_starts(texts.held)[1:-1])
            )
            leaking = margins(texts.held, held)[list(texts.leaks)] > 0
            done = done and not bool(leaking.any())
            if texts.led is not None:
                done = done and not any(texts.led.leak(likeliest[: len(texts.led)]))
        return Seen(says_it, done, loss, drift, likeliest, rehearsed, 0.0)


class _DoneError(Exception):
    """There is nothing to learn in a step: no backward pass is needed."""
