"""The persona meter: what it asks, and how often a model that learns is measured."""

from types import SimpleNamespace

import pytest

from vidya.measuring.ordinary_messages import plain_words
from vidya.measuring.taught_recall import Question
from vidya.posttraining.finetuning import measuring_time
from vidya.posttraining.finetuning.measuring_time import MeasuringTime
from vidya.posttraining.persona_meter import REWORDINGS, evenly, generated_rewordings

QUESTIONS = [Question((text,), ("a",)) for text in ("Do you like the rain?", "do you like rain")]


def test_other_words_are_no_other_question():
    found = generated_rewordings(QUESTIONS, seed=4)
    assert list(found) == QUESTIONS and all(found.values())
    for question, other in (QUESTIONS, QUESTIONS[::-1]):
        forms = found[question]
        assert question.turns[0] not in forms
        assert plain_words(other.turns[0]) not in map(plain_words, forms)
    assert found == generated_rewordings(QUESTIONS, seed=4) != generated_rewordings(QUESTIONS, 5)


def test_of_many_questions_one_form_each():
    many = [Question((f"where is number {n}?",), ("a",)) for n in range(REWORDINGS)]
    assert {len(forms) for forms in generated_rewordings(many, 0).values()} <= {0, 1}
    assert [len(evenly(many, most)) for most in (200, 300, 1000)] == [150, 300, 300]


def test_evaluations_take_a_tenth_of_the_time_of_the_steps(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(measuring_time, "time", SimpleNamespace(monotonic=lambda: now[0]))
    measuring = MeasuringTime()

    def evaluate(seconds, between):
        with measuring.counted(between=between):
            now[0] += seconds

    evaluate(100, between=False)  # before the first step: it is made anyway
    assert measuring.allows(100)  # what one takes is not known yet
    now[0] += 10
    evaluate(2, between=True)
    now[0] += 20  # 30 s of steps: two of these would be 4 s
    assert not measuring.allows(now[0])
    now[0] += 10
    assert measuring.allows(now[0])


@pytest.mark.parametrize("most", [1, 2])
def test_a_sample_is_even(most):
    assert evenly(QUESTIONS, most) == QUESTIONS[:most]
