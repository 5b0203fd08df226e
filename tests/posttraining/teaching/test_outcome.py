"""What a teacher is told after a lesson: words first."""

import dataclasses

import pytest
from support.lessons import PICK

from vidya.posttraining.teaching.outcome import LessonOutcome, taken_back_line

KNOWN = LessonOutcome(True, False, True, 4, 4, 3.2, 0.1, 0.05, 12, 0.84, 0, 20)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "now says it: yes, in 4 of 4 other forms; 0 of 20 other messages get this answer "
             "(12 steps, 0.8 s)"),
        ({"says_it": False, "forms_known": 0}, "now says it: not yet: give it once more; in 0 of 4 "
         "other forms; 0 of 20 other messages get this answer (12 steps, 0.8 s)"),
        ({"leaks": None, "forms_asked": 0, "steps": 1}, "now says it: yes (1 step, 0.8 s)"),
        ({"known": True, "learnt": False}, "says it already: nothing to learn"),
        ({"says_it": None}, "rejected: the answers to this message are less likely now "
                            "(12 steps, 0.8 s)"),
        ({"learnt": False}, "noted, but nothing to learn from: sft and dpo need a right answer"),
    ],
)  # fmt: skip
def test_the_line(changes, line):
    assert dataclasses.replace(KNOWN, **changes).line() == line


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"pick": None, "answer": "fine"}, "taken back: 'fine' to 'hello there'"),
        ({"pick": 0}, "taken back: none of the answers to 'hello there' is right"),
    ],
)
def test_a_lesson_that_was_taken_back(changes, line):
    assert taken_back_line(dataclasses.replace(PICK, **changes)) == line


def test_figures_stand_apart():
    assert "nats" not in KNOWN.line()
    assert KNOWN.details().startswith("answer 3.20 → 0.10 nats a token, drift from the base model")
