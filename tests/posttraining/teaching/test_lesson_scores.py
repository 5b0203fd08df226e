"""What the lessons so far are worth, in words."""

import pytest
from support.chat_runs import DOCUMENTS, babbling_model, small_tokenizer
from support.teaching_runs import HELD_OUT

from vidya.measuring.taught_recall import Question
from vidya.posttraining.kept_weights import frozen_copy
from vidya.posttraining.replay_corpus import ReplayCorpus
from vidya.posttraining.teaching.learner import Learner
from vidya.posttraining.teaching.lesson import Candidate, Lesson
from vidya.posttraining.teaching.lesson_scores import lesson_scores, taught_questions
from vidya.posttraining.teaching.options import LessonSettings
from vidya.text.token_documents import TokenDocuments

SETTINGS = LessonSettings(lr=1e-3)
OFFERED = (Candidate("a", (1,)), Candidate("b", (2,)))
LESSONS = [
    Lesson(0, ("hello",), OFFERED, 2, None, SETTINGS),
    Lesson(1, ("thank you",), OFFERED, 0, None, SETTINGS),  # all were rejected
    Lesson(2, ("hello", "b", "and you"), (), None, "fine", SETTINGS),
    Lesson(3, ("hello",), (), None, "fine thank you", SETTINGS),
]


def test_the_last_right_answer_to_a_question_counts():
    assert taught_questions(LESSONS) == [
        Question(("hello",), ("fine thank you",)),
        Question(("hello", "b", "and you"), ("fine",)),
    ]


@pytest.fixture(scope="module")
def learner():
    tokenizer = small_tokenizer()
    model = babbling_model(tokenizer)
    train, held_out = (
        TokenDocuments.joined(tokenizer.encode_documents(some)) for some in (DOCUMENTS, HELD_OUT)
    )
    corpus = ReplayCorpus(train, held_out)
    base = frozen_copy(model)
    model.parameters["wte"][:] *= 3
    return Learner(model, base, tokenizer, corpus), tokenizer, corpus


def test_scores_of_lessons_in_words(learner):
    lines = lesson_scores(*learner, LESSONS, lambda: False)
    starts = ["asked as taught: 0 of 2", "asked in other words: 0 of ",
              "asked one after the other: 0 of 1",
              "other messages that wrongly get a taught answer: 0 of 1",
              "in short: it does not know yet what it was taught, and says it only when asked",
              "forgetting, much: text of the base corpus takes "]  # fmt: skip
    assert [line.startswith(start) for line, start in zip(lines, starts, strict=True)] == [True] * 6
    assert "takes 0.0%" not in lines[-1]


def test_nothing_taught_or_interrupted_has_no_scores(learner):
    assert lesson_scores(*learner, LESSONS[1:2], lambda: False) == []
    assert lesson_scores(*learner, LESSONS, lambda: True) == []
