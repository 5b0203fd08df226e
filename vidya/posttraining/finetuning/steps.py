"""The steps of a fine-tuning: what of the persona each learns, and what holds the model meanwhile.

They follow a course. At first questions stand as they are taught and the model is held to windows
of its corpus alone, which is how answers are learnt quickest. Then questions come in other forms
and after other talk, and last what leaks is held, too (vidya/posttraining/held_replies.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from vidya.model.transformer import Array, Objective
from vidya.posttraining.answer_batches import joined
from vidya.posttraining.earlier_talk import EarlierTalk
from vidya.posttraining.finetuning.options import FinetuneOptions
from vidya.posttraining.finetuning.persona import Persona
from vidya.posttraining.held_replies import HeldReplies
from vidya.posttraining.ordinary_talk import OrdinaryTalk
from vidya.posttraining.replay_corpus import ReplayCorpus
from vidya.posttraining.rewording.form_names import chosen_forms
from vidya.posttraining.rewording.reworder import Reworder
from vidya.posttraining.varied_conversations import VariedConversations, taught_exchanges
from vidya.text.batch_plan import Batch, BatchPlan
from vidya.text.tokenizer import Tokenizer

VARIED = (0.1, 0.35)
"""Shares of the steps between which questions begin to be varied, up to as much as they will be."""
HELD = (0.3, 0.7)
"""Shares of the steps between which the hold on replies grows to its weight."""
HELD_FIRST = 0.05
"""Share of that weight before."""
TOLERATED = 0.1
"""Divergence of held replies, nats a token, from which on they have their whole weight."""
_MEAN_OF = 10
"""Steps of the running mean."""
WINDOWS = 0.3
"""Share of the replay that is windows in the end, beside replies; at first it is all."""
WINDOW = 48
"""Tokens of a window beside replies."""


class Step(NamedTuple):
    """What a step sees."""

    own: Batch
    """Of the persona."""
    windows: Batch | None
    """Of the corpus."""
    replies: Batch | None
    """To ordinary messages."""

    @property
    def parts(self) -> list[Batch]:
        """The batches that there are."""
        return [part for part in self if part is not None]


def risen(progress: float, between: tuple[float, float]) -> float:
    """0 up to the first share of the steps, 1 from the second on, and a line between them."""
    begin, end = between
    return min(1.0, max(0.0, (progress - begin) / (end - begin)))


def hold_on_replies(progress: float) -> float:
    """Share of its weight that the hold on replies has when this share of the steps is behind."""
    return HELD_FIRST + (1 - HELD_FIRST) * risen(progress, HELD)


class ReplyHold:
    """How much of its weight the hold on replies needs: less where replies diverge little.

    Were it always the same, a persona of many questions would be forgotten for it once nothing
    leaks any more.

    Attributes:
        divergence: KL(before || now) of held replies, nats a token: a running mean over steps.
    """

    def __init__(self) -> None:
        self.divergence = 0.0
        self._steps = 0
        self._seen: float | None = None

    @property
    def share(self) -> float:
        """Of the weight, from 0 to 1."""
        return min(1.0, self.divergence / TOLERATED)

    def objective(self, held: Objective) -> Objective:
        """The objective of a step's replies, whose value is remembered."""
        self._seen = 0.0

        def remembered(first: int, logits: Array) -> tuple[float, Array]:
            value, gradient = held(first, logits)
            self._seen = (self._seen or 0.0) + value
            return value, gradient

        return remembered

    def end_step(self) -> None:
        """Take what the step has seen into the mean."""
        if self._seen is not None:
            self._steps += 1
            self.divergence += (self._seen - self.divergence) / min(self._steps, _MEAN_OF)
            self._seen = None


class PersonaSteps:
    """The steps of a fine-tuning, one after the other without end."""

    def __init__(
        self, persona: Persona, plan: BatchPlan, corpus: ReplayCorpus | None,
        tokenizer: Tokenizer, options: FinetuneOptions, *, context: int, total: int,
    ) -> None:  # fmt: skip
        """Make ready; `plan` is the persona's, `corpus` what is replayed, if anything."""
        self._plan, self._total = plan, total
        self._share = options.replay if corpus is not None else 0.0
        self._varied: VariedConversations | None = None
        self._held: HeldReplies | None = None
        exchanges = taught_exchanges(persona.taught, tokenizer)
        if exchanges:
            questions = [one.question for one in exchanges]
            talk = None
            if corpus is not None:
                talk = OrdinaryTalk(corpus.train, tokenizer, questions, options.seed)
            reworder = Reworder(tokenizer, chosen_forms(options.forms), questions)
            earlier = EarlierTalk(exchanges, talk, tokenizer, reworder)
            self._varied = VariedConversations(
                tokenizer, reworder, earlier, context=context, seed=options.seed,
                after_talk=options.after_talk,
            )  # fmt: skip
            # learnt as text, an answer begun after an ordinary message would be taught to it
            replies = options.replay_of == "replies" and options.replay_loss == "kl"
            if talk and self._share and replies:
                self._held = HeldReplies(
                    talk, earlier, tokenizer, context=context, seed=options.seed
                )
        self._windows: BatchPlan | None = None
        if corpus is not None and self._share:
            length = context if self._held is None else min(WINDOW, context)
            self._windows = corpus.replay(length, options.seed)

    def __iter__(self) -> Iterator[Step]:
        """The steps from the first on."""
        windows = _Owed(None if self._windows is None else self._windows.batch)
        replies = _Owed(None if self._held is None else self._held.batch)
        step = 0
        while True:
            progress = step / self._total
            own = self._plan.batch(step)
            if self._varied is not None:
                own = self._varied.varied(own, step, risen(progress, VARIED))
            replayed = len(own.tokens) * self._share / (1 - self._share)
            of_windows = 1.0
            if self._held is not None:
                of_windows -= (1 - WINDOWS) * risen(progress, VARIED)
            yield Step(
                own,
                windows.batch(replayed * of_windows),
                replies.batch(replayed * (1 - of_windows)),
            )
            step += 1


class _Owed:
    """Small batches of one kind, so many that they have their share of all tokens so far."""

    def __init__(self, draw: Callable[[int], Batch] | None) -> None:
        self._draw, self._drawn, self._tokens = draw, 0, 0.0

    def batch(self, tokens: float) -> Batch | None:
        """What is owed with `tokens` more, as one batch; None: nothing."""
        if self._draw is None:
            return None
        self._tokens += tokens
        found = []
        while self._tokens > 0:
            found.append(self._draw(self._drawn))
            self._tokens -= len(found[-1].tokens)
            self._drawn += 1
        return joined(found) if found else None
