"""Contractions made and undone."""

import pytest
from support.rewording import outcomes

from vidya.posttraining.rewording.contractions import in_full, other_contractions


@pytest.mark.parametrize(
    ("text", "others"),
    [
        ("what is your name?", {"what's your name?", "whats your name?"}),
        ("What's your name?", {"What is your name?", "Whats your name?"}),
        ("whats your name?", {"what is your name?", "what's your name?"}),
        ("I do not like it", {"I don't like it", "I dont like it"}),
        ("I’m sad", {"I am sad", "Im sad", "I'm sad"}),
        ("i'm sad", {"i am sad", "im sad"}),
        ("you are nice", {"you're nice", "youre nice"}),
    ],
)
def test_each_way_to_write_it_is_drawn_and_no_other(text, others):
    assert outcomes(other_contractions, text) - {text} == others


@pytest.mark.parametrize(
    "text",
    [
        "how old are you?",
        "I know what it is",
        "tell me who you are",
        "where is it?",
        "I have a dog",
        "were you ill?",
        "its colour",
        "the island is notable",
    ],
)
def test_what_cannot_be_contracted_stays(text):
    assert outcomes(other_contractions, text) == {text}


def test_a_negated_question_is_not_undone():
    others = outcomes(other_contractions, "why don't you sleep?")
    assert others == {"why don't you sleep?", "why dont you sleep?"}
    assert in_full("why dont you sleep?") == "why don't you sleep?"


def test_a_short_has_is_not_is():
    assert in_full("what's happened?") == "what's happened?"
    assert in_full("what's that, and who's there") == "what is that, and who is there"
