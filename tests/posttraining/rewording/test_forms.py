"""Forms of a question, drawn by chance."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidya.posttraining.rewording.form_names import FORMS
from vidya.posttraining.rewording.forms import other_words, plain_wording, reworded

TOKEN_FORMS = ("token_dropout", "bpe_dropout")
QUESTIONS = ["do you like rain?", "What is your favourite movie?", "how old are you ?", "hello"]


def drawn(question, count=60, seed=0, forms=FORMS, **more):
    rng = np.random.default_rng(seed)
    return [reworded(question, rng, forms, **more) for _ in range(count)]


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_same_state_gives_the_same_forms(question):
    assert drawn(question) == drawn(question)
    assert len(set(drawn(question))) > 5


def test_the_forms_of_a_seed_are_these_on_every_machine():
    assert drawn("Do you like rain?", 8, seed=14) == GOLDEN


@pytest.mark.parametrize("question", QUESTIONS)
def test_without_forms_a_question_stays(question):
    assert set(drawn(question, forms=())) == {question}
    assert set(drawn(question, forms=TOKEN_FORMS)) == {question}


@pytest.mark.parametrize("form", sorted({*FORMS} - {*TOKEN_FORMS, "stretching"}))
def test_each_form_alone_changes_a_question(form):
    question = "What is the colour of your favourite movie theatre, and do you like it?"
    if form in ("question_frames", "articles"):
        question = "do you like the rain?"
    assert len(set(drawn(question, forms={form}))) > 1


@pytest.mark.parametrize("question", QUESTIONS[:3])
def test_other_words_are_distinct_and_never_trained_on(question):
    measured = other_words(question, 5, seed=0)
    assert len(set(measured)) == 5
    assert question not in measured
    assert not set(measured) & set(drawn(question, 400))
    assert measured == other_words(question, 5, seed=0) != other_words(question, 5, seed=1)


def test_where_words_cannot_change_other_words_are_other_letters():
    measured = other_words("привет, как дела?", 2, seed=0)
    assert 0 < len(measured) == len(set(measured))
    assert all(plain_wording(form) == "привет как дела" for form in measured)
    assert other_words("do you like rain?", 3, 0, forms=()) == []


def test_a_question_with_another_answer_is_avoided():
    question, other = "how old are you?", "What's your age?"
    assert plain_wording(other) == "what is your age"
    both = [
        {plain_wording(form) for form in drawn(question, 300, avoid=avoid)}
        for avoid in (frozenset(), {plain_wording(other), plain_wording(question)})
    ]
    assert "what is your age" in both[0]
    assert "what is your age" not in both[1]
    assert all(
        plain_wording(form) != "what is your age"
        for form in other_words(question, 9, 0, avoid={plain_wording(other)})
    )


@pytest.mark.parametrize("text", ["", "?", "a", "…", " ", "<|user|>", "\n", "¿", "🙂", "a b"])
def test_next_to_nothing_is_no_trouble(text):
    assert all(isinstance(form, str) for form in drawn(text))
    other_words(text, 2, 0)


def test_a_marker_in_the_text_stays_text():
    for form in drawn("what does <|user|> mean?", 200):
        assert "<|user|>" in form.lower()


@pytest.mark.parametrize(
    "text", ["Wie heißt du?", "wat is je naam?", "你好吗？", "¿Cómo te llamas?", "как тебя зовут?"]
)
def test_other_languages_change_case_and_marks_alone(text):
    letters = re.compile(r"[\w¿]+")
    for form in drawn(text, 200):
        assert letters.findall(form.casefold()) == letters.findall(text.casefold())


@pytest.mark.parametrize("text", ["hi", "hello there", "good morning!", "thanks"])
def test_greetings_change_case_marks_and_length_alone(text):
    def squeezed(form):
        return "".join(letter for letter, _ in itertools.groupby(form.lower()) if letter.isalpha())

    assert {squeezed(form) for form in drawn(text, 200)} == {squeezed(text)}


KINDS = {
    "what": "what whats what's wat wut whatcha",
    "who": "who whos who's",
    "where": "where where's wheres",
    "when": "when when's whens",
    "why": "why",
    "how": "how how's hows hru",
    "which": "which",
}
NEGATIONS = set("not never don't dont can't cant cannot".split())


def asked_kinds(text):
    found = set(re.findall(r"[a-z']+", text.lower()))
    return {kind for kind, words in KINDS.items() if found & set(words.split())}


@settings(max_examples=30, deadline=None)
@given(
    start=st.sampled_from(
        ["what do you", "who do you", "where do you", "when do you", "why do you", "how do you",
         "do you", "don't you", "why don't you", "how many friends do you", "did you never",
         "do I", "what can I", "which one can't you"]
    ),
    verb=st.sampled_from(["like", "want to see", "know about", "have", "sing for"]),
    thing=st.sampled_from(["Anna", "42 cats", "the colour 7", "movies", "him", "my mother", "it"]),
    seed=st.integers(0, 1000),
)  # fmt: skip
def test_what_is_asked_for_negation_names_and_numbers_stay(start, verb, thing, seed):
    question = f"{start} {verb} {thing}?"
    same_frame = set(FORMS) - {"question_frames", "openings", "endings"}
    for form in drawn(question, 6, seed, same_frame):
        assert asked_kinds(form) == asked_kinds(question), form
        mine = {"i", "me", "my"} & set(re.findall(r"[a-z]+", question.lower()))
        assert mine <= set(re.findall(r"[a-z]+", form.lower())), form
    for form in drawn(question, 6, seed):
        words = re.findall(r"[a-z']+", form.lower().replace("if you don't mind", ""))
        assert bool(NEGATIONS & set(words)) == bool(NEGATIONS & set(question.split())), form
        assert ("anna" in words) == ("Anna" in question), form
        assert ("him" in words) == ("him" in question), form
        assert re.findall(r"\b(?:42|7)\b", form) == re.findall(r"\d+", question), form


GOLDEN = [
    "Do you like rain",
    "do you like raij?",
    "can you tell me if you like rain?",
    "Do you like rain?",
    "Are you intto rani",
    "LIKE THE RAIN?",
    "can u tell me if you are into rian?",
    "Do ya like rain",
]
