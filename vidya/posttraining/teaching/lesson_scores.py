"""What the lessons so far are worth: asked as taught, otherwise, in conversation, and leaks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vidya.measuring.held_out_loss import held_out_loss
from vidya.measuring.persona_scores import forgetting_line
from vidya.measuring.taught_recall import Question
from vidya.posttraining.persona_meter import PersonaMeter
from vidya.posttraining.replay_corpus import ReplayCorpus
from vidya.posttraining.teaching.learner import Learner
from vidya.posttraining.teaching.lesson import Lesson
from vidya.text.tokenizer import Tokenizer

HELD_OUT_TOKENS = 4096
"""Tokens of the base corpus that forgetting is measured on."""


def taught_questions(lessons: Sequence[Lesson]) -> list[Question]:
    """What was asked in the lessons, each with the answer that was the right one last."""
    answers = {lesson.turns: lesson.right for lesson in lessons}
    return [Question(turns, (right,)) for turns, right in answers.items() if right is not None]


def lesson_scores(
    learner: Learner,
    tokenizer: Tokenizer,
    corpus: ReplayCorpus | None,
    lessons: Sequence[Lesson],
    interrupted: Callable[[], bool],
) -> list[str]:
    """Lines that say it in words; none without a right answer, or when interrupted.

    Args:
        learner: with the model and the base model.
        tokenizer: of both.
        corpus: of the base model: ordinary messages, and text to measure forgetting on.
        lessons: that count.
        interrupted: looked at between tokens.
    """
    questions = taught_questions(lessons)
    if not questions:
        return []
    meter = PersonaMeter(
        learner.model, tokenizer, questions, corpus, seed=0, interrupted=interrupted
    )
    meter.before(learner.reference)
    scores = meter.scores()
    lines = [] if scores is None else scores.lines()
    if corpus is not None and not interrupted():
        before, now = (
            held_out_loss(
                model, tokenizer, corpus.held_out or corpus.train, max_tokens=HELD_OUT_TOKENS,
                interrupted=interrupted,
            )
            for model in (learner.reference, learner.model)
        )  # fmt: skip
        if before is not None and now is not None:
            lines.append(forgetting_line(before.bits_per_byte, now.bits_per_byte))
    return [] if interrupted() else lines
