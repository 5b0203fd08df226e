"""The persona meter: what a model that was taught is asked, in every way.

The taught questions are asked as they were taught, in conversation and in generated forms that
training never sees (vidya/posttraining/rewording/forms.py), and ordinary messages of the corpus
beside them (vidya/measuring/persona_scores.py). Before anything is learnt the model is asked what
it says to these by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vidya.generation.replies import reply_generator
from vidya.measuring.leaks import taught_answers_to
from vidya.measuring.ordinary_messages import ordinary_exchanges, plain_words
from vidya.measuring.persona_scores import OrdinaryMessages, PersonaScores, score_persona
from vidya.measuring.taught_recall import Question, Recall, measure_recall
from vidya.model.transformer import Model
from vidya.posttraining.replay_corpus import ReplayCorpus
from vidya.posttraining.rewording.forms import other_words
from vidya.text.tokenizer import Tokenizer

MOST_QUESTIONS = 200
"""Most questions that are asked; of more, so many are taken at even distances."""
SAMPLE = 32
"""Of these, questions that are asked while the model learns."""
ORDINARY = 200
"""Ordinary messages that are tried."""
REWORDINGS = 300
"""About so many questions in other words are asked: three for each that is taught, or fewer."""


class PersonaMeter:
    """Asks a model that learns, always with its weights as they are.

    Attributes:
        questions: that are asked at the end.
    """

    def __init__(
        self, model: Model, tokenizer: Tokenizer, questions: Sequence[Question],
        corpus: ReplayCorpus | None, *, seed: int,
        interrupted: Callable[[], bool],
    ) -> None:  # fmt: skip
        """Choose what to ask; ordinary messages come from what was held out of the corpus.

        Args:
            model: which changes in place.
            tokenizer: the model's.
            questions: all that are taught.
            corpus: of the base model, for ordinary messages; None: there are none.
            seed: decides which messages and forms are tried, and the order of conversations.
            interrupted: looked at between tokens.
        """
        self.questions = evenly(questions, MOST_QUESTIONS)
        self._tokenizer, self._seed, self._interrupted = tokenizer, seed, interrupted
        self._ordinary: OrdinaryMessages | None = None
        if corpus is not None and self.questions:
            taught = [question.turns[-1] for question in questions]
            found = ordinary_exchanges(
                corpus.held_out or corpus.train, tokenizer, ORDINARY, taught=taught, seed=seed
            )
            self._ordinary = OrdinaryMessages([one.message for one in found])
        together = max(len(self.questions), ORDINARY * bool(self._ordinary))
        self._generator = reply_generator(model, tokenizer, together) if self.questions else None

    def before(self, base: Model | None = None) -> None:
        """Ask a model that has not learnt anything yet what it says to ordinary messages.

        It is the model itself, before the first step, or another one, with the same tokenizer.
        """
        if self._generator is None or self._ordinary is None:
            return
        generator = self._generator
        if base is not None:
            generator = reply_generator(base, self._tokenizer, ORDINARY)
        generator.refresh()
        messages = self._ordinary.messages
        answers = [answer for question in self.questions for answer in question.answers]
        said = taught_answers_to(
            generator, self._tokenizer, messages, answers, interrupted=self._interrupted
        )
        self._ordinary = OrdinaryMessages(messages, said)

    def sample(self) -> Recall | None:
        """How some of the questions are answered; None without any, or when interrupted."""
        if self._generator is None:
            return None
        self._generator.refresh()
        return measure_recall(
            self._generator, self._tokenizer, evenly(self.questions, SAMPLE),
            interrupted=self._interrupted,
        )  # fmt: skip

    def scores(self) -> PersonaScores | None:
        """All scores; None without questions, or when interrupted."""
        if self._generator is None:
            return None
        self._generator.refresh()
        return score_persona(
            self._generator, self._tokenizer, self.questions,
            rewordings=generated_rewordings(self.questions, self._seed), ordinary=self._ordinary,
            seed=self._seed, interrupted=self._interrupted,
        )  # fmt: skip


def evenly(questions: Sequence[Question], most: int) -> list[Question]:
    """At most so many of the questions, at even distances."""
    return list(questions[:: max(1, -(-len(questions) // most))])


def generated_rewordings(questions: Sequence[Question], seed: int) -> dict[Question, list[str]]:
    """Forms of each question that no training uses, and that are no other question's words."""
    each = max(1, min(3, REWORDINGS // max(1, len(questions))))
    taught = {plain_words(question.turns[-1]) for question in questions}
    found = {}
    for question in questions:
        own = plain_words(question.turns[-1])
        forms = other_words(question.turns[-1], each, seed)
        found[question] = [
            form for form in forms if plain_words(form) == own or plain_words(form) not in taught
        ]
    return found
