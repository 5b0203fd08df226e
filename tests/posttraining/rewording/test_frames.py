"""Whole questions asked another way."""

import re

import pytest
from support.rewording import outcomes

from vidya.posttraining.rewording.frame_table import FRAMES
from vidya.posttraining.rewording.frames import asked_another_way


@pytest.mark.parametrize(
    ("text", "some"),
    [
        ("Do you like rain?", {"Are you a fan of rain?", "You like rain?", "Are you into rain?"}),
        ("are you into hip hop", {"do you like hip hop", "you like hip hop?"}),
        ("what is your name?", {"tell me your name?", "your name?", "what is your name again?"}),
        ("What's your name?", {"Your name?", "What are you called?"}),
        ("how old are you ?", {"what is your age ?"}),
        ("where are you from?", {"where do you come from?"}),
        (
            "what is your favorite colour?",
            {"which colour do you like best?", "your favorite colour?"},
        ),
        ("Hi! Who made you?", {"Hi! Who created you?"}),
        ("do you want to dance?", {"would you like to dance?"}),
        ("what are you doing?", {"what are you up to?"}),
    ],
)
def test_the_same_is_asked_another_way(text, some):
    assert some <= outcomes(asked_another_way, text, 400)


@pytest.mark.parametrize(
    "text",
    [
        "do you not like rain?",
        "don't you like rain?",
        "do you never sleep?",
        "who is your father?",
        "why is the sky blue?",
        "i like rain",
        "hello",
        "",
        "?",
        "wie heißt du?",
        "What is the capital of France?",
    ],
)
def test_what_is_of_no_known_form_stays(text):
    assert outcomes(asked_another_way, text) == {text}


def test_where_no_thing_is_asked_for_only_small_changes_are_made():
    assert outcomes(asked_another_way, "do you like me?") == {"you like me?"}
    assert outcomes(asked_another_way, "do you like cats or dogs?") == {"you like cats or dogs?"}


def test_the_ways_of_a_group_have_the_same_slots_and_none_denies():
    for group in FRAMES:
        ways = [line.removeprefix("=> ") for line in group.strip().split("\n")]
        assert len({frozenset(re.findall(r"\{[xv]\}", way)) for way in ways}) == 1, group
        assert len(set(ways)) == len(ways) > 1, group
        for way in ways:
            assert not re.search(r"\b(not|never|no)\b|n't", way.removesuffix(" or not")), way
            assert way == way.lower() == way.strip()
