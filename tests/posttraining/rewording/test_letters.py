"""Case, marks, stretched letters and typing mistakes."""

import pytest
from support.rewording import outcomes

from vidya.posttraining.rewording.common_words import COMMON_WORDS
from vidya.posttraining.rewording.letters import mistyped, other_case, other_marks, stretched


def test_case_is_small_first_large_or_all_large():
    assert outcomes(other_case, "Where do I live?", 400) == {
        "where do i live?",
        "Where do I live?",
        "WHERE DO I LIVE?",
        "Where Do I Live?",
    }
    assert "Am I?" in outcomes(other_case, "am i?")


@pytest.mark.parametrize(
    "text", ["你好吗", "Straße und Fuß", "İstanbul", "é?", "", "?", "123", "ﬁn"]
)
def test_case_harms_no_script(text):
    for form in outcomes(other_case, text):
        assert len(form) == len(text)
        assert form.casefold() == text.casefold()


def test_a_question_ends_in_many_ways():
    forms = outcomes(other_marks, "do you like rain?", 400)
    ends = {form.removeprefix("do you like rain") for form in forms}
    assert {"", "?", "??", " ?", "!", "."} <= ends
    assert forms == {"do you like rain" + end for end in ends}


def test_a_statement_becomes_no_question():
    assert not any("?" in form for form in outcomes(other_marks, "i am sad", 400))


def test_a_question_in_the_order_of_a_statement_stays_one():
    assert all("?" in form for form in outcomes(other_marks, "you like rain?"))


def test_commas_may_go_but_not_in_numbers():
    assert "hi who are you?" in outcomes(other_marks, "hi, who are you?")
    assert all("1,000" in form for form in outcomes(other_marks, "is it 1,000 miles?"))


@pytest.mark.parametrize(
    ("text", "ends"), [("你好吗？", {"？", "", "？？"}), ("كيف حالك؟", {"؟", "", "؟؟"})]
)
def test_marks_of_other_scripts_stay_theirs(text, ends):
    assert outcomes(other_marks, text) == {text[:-1] + end for end in ends}


def test_earlier_sentences_keep_their_marks():
    assert all(form.startswith("Hi! ") for form in outcomes(other_marks, "Hi! How are you?"))


@pytest.mark.parametrize(
    ("text", "one"), [("hi", "hiii"), ("Hello!", "Helloo!"), ("good morning", "gooood morning")]
)
def test_a_greeting_is_stretched(text, one):
    assert one in outcomes(stretched, text)


@pytest.mark.parametrize("text", ["what", "do you like rain", "你好", "", "!", "bus"])
def test_nothing_else_is_stretched(text):
    assert outcomes(stretched, text) == {text}


def test_a_typing_mistake_changes_a_letter_or_two_of_a_long_word():
    forms = outcomes(mistyped, "do you like my garden?")
    assert {"do you liek my garden?", "do you like my gadren?", "do you like my garen?"} <= forms
    for form in forms:
        assert form.startswith("do you ")
        assert " my " in form


@pytest.mark.parametrize(
    "text",
    [
        "who are you?",
        "what when where which whose",
        "i never cannot dont",
        "in London and Paris",
        "eleven",
        "don't",
        "mail me@here.com/page",
        "привет",
        "héllo",
        "c3po",
    ],
)
def test_short_words_names_and_words_that_carry_the_meaning_are_never_mistyped(text):
    if text.startswith(("mail", "in ")):
        text = text.replace("mail", "go").replace("and", "or")
    assert outcomes(mistyped, text) == {text}


def test_no_mistake_makes_another_common_word():
    text = "form where from there your robot like pets live quiet"
    for form in outcomes(mistyped, text, 500):
        for before, after in zip(text.split(), form.split(), strict=True):
            assert before == after or after not in COMMON_WORDS
