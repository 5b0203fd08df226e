"""Forms of a question, drawn by chance."""

import numpy as np
import pytest

from vidya.posttraining.rewording.forms import FORMS, other_words, reworded

QUESTIONS = ["do you like rain?", "What is your favourite movie?", "how old are you ?", "hello"]


def drawn(question, count=60, seed=0, forms=FORMS):
    rng = np.random.default_rng(seed)
    return [reworded(question, rng, forms) for _ in range(count)]


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_same_state_gives_the_same_forms(question):
    assert drawn(question) == drawn(question)
    assert len(set(drawn(question))) > 5


@pytest.mark.parametrize("question", QUESTIONS)
def test_without_forms_a_question_stays(question):
    assert set(drawn(question, forms=())) == {question}


@pytest.mark.parametrize("question", QUESTIONS[:3])
def test_other_words_are_distinct_and_never_trained_on(question):
    measured = other_words(question, 5, seed=0)
    assert len(set(measured)) == 5
    assert question not in measured
    assert not set(measured) & set(drawn(question, 500))
    assert measured == other_words(question, 5, seed=0) != other_words(question, 5, seed=1)


@pytest.mark.parametrize("text", ["", "?", "a", "…", " ", "<|user|>"])
def test_next_to_nothing_is_no_trouble(text):
    drawn(text)
    other_words(text, 2, 0)
