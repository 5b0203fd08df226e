"""What stands before and after a question."""

import pytest
from support.rewording import outcomes

from vidya.posttraining.rewording.openings import as_statement, with_ending, with_opening


@pytest.mark.parametrize(
    ("question", "statement"),
    [
        ("what is your name", "what your name is"),
        ("whats your name", "what your name is"),
        ("where do you live", "where you live"),
        ("how old are you", "how old you are"),
        ("what are you doing today", "what you are doing today"),
        ("what can you do", "what you can do"),
        ("why is the sky blue", "why the sky is blue"),
        ("how is your mother today", "how your mother is today"),
        ("who made you", "who made you"),
        ("do you like rain", "if you like rain"),
        ("are you a robot", "if you are a robot"),
        ("have you been to Rome", "if you have been to Rome"),
        ("how many dogs do you have", "how many dogs you have"),
        ("does he like me", ""),
        ("don't you like me", ""),
        ("why do you not sleep", ""),
        ("i am sad", ""),
        ("", ""),
    ],
)
def test_the_words_of_a_question_as_they_stand_behind_tell_me(question, statement):
    assert as_statement(question) == statement


def test_openings_are_drawn():
    forms = outcomes(with_opening, "Do you like rain?", 800)
    assert {"Hey, do you like rain?", "So do you like rain?"} <= forms
    assert {"Can you tell me if you like rain?", "Tell me, do you like rain?"} <= forms
    assert all(form.lower().rstrip("?").endswith("you like rain") for form in forms)


def test_names_and_i_keep_their_capitals():
    assert any(" I cook" in form for form in outcomes(with_opening, "how do I cook rice?"))
    assert all(" USA " in form for form in outcomes(with_opening, "is the USA big?"))
    assert (
        as_statement("Am I late") == "if I am late" or as_statement("Am I late") == "if I Am late"
    )


def test_a_request_gets_openings_of_its_own():
    forms = outcomes(with_opening, "tell me a story")
    assert {"please tell me a story", "can you tell me a story"} <= forms
    assert not any("want to know" in form for form in forms)


@pytest.mark.parametrize("text", ["", "?", "hello, who are you?", "Hi! Who are you?"])
def test_no_opening_where_one_stands(text):
    assert outcomes(with_opening, text) == {text}


def test_endings_are_drawn():
    forms = outcomes(with_ending, "do you like rain?", 800)
    assert {
        "do you like rain, my friend?",
        "do you like rain lol",
        "do you like rain? lol",
    } <= forms
    assert all(form.startswith("do you like rain") for form in forms)
    assert outcomes(with_ending, "?") == {"?"}


def test_a_statement_gets_no_laughter():
    assert not any("lol" in form or ":)" in form for form in outcomes(with_ending, "my dog died"))


def test_please_is_said_once():
    assert not any(f.count("please") > 1 for f in outcomes(with_ending, "please help me", 300))
