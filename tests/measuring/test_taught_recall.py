"""Token F1, the questions of conversations, and greedy answers to them."""

import dataclasses

import pytest
from support.chat_runs import babbling_model, small_tokenizer

from vidya.generation.chat_tokens import chat_prompt
from vidya.generation.generator import Generator
from vidya.generation.sampling_settings import SamplingSettings
from vidya.measuring.taught_recall import (
    Question,
    Recall,
    answer_all,
    best_f1,
    measure_recall,
    questions_of,
    recall_of,
    token_f1,
)


@pytest.mark.parametrize(
    ("reply", "answer", "f1"),
    [
        ("I am Mr . Classic .", "I am Mr . Classic .", 1.0),
        ("Classic Mr", "Mr Classic", 1.0),  # order does not count
        ("a b c d", "a b x y", 0.5),
        ("a a a", "a", 0.5),  # a word counts as often as both have it
        ("a", "a a a", 0.5),
        ("A", "a", 0.0),
        ("I am, yes.", "I am , yes .", 1.0),  # marks are words of their own
        ("I am.", "I am", 0.8),
        ("我是一只红猫。", "我是一只黑猫。", 6 / 7),  # one character of seven is another
        ("我是维迪亚", "你好", 0.0),
        ("ผมชื่อวิทยา", "ผมชื่อวิทยุ", 12 / 15),
        ("👩‍👩‍👧 ❤️", "👩‍👩‍👧 👍🏽", 0.5),
        ("Zoe\u0308", "Zo\u00eb", 1.0),
        ("yes", "no", 0.0),
        ("", "no", 0.0),
        ("yes", "", 0.0),
        (" ", "", 1.0),
    ],
)
def test_token_f1(reply, answer, f1):
    assert token_f1(reply, answer) == pytest.approx(f1)


def test_the_nearest_answer_counts():
    assert best_f1("a b", ["x y", "a c", "q"]) == 0.5


def test_questions_of_conversations():
    found = questions_of([
        "<|user|> hi <|assistant|> Hello .",
        "just a line",
        "<|user|> hi <|assistant|> Good day . <|user|> name? <|assistant|> Mr .↵Classic",
        "<|user|> hi <|assistant|> Hello .",
        "<|user|> nobody answers",
        "<|user|> hm <|assistant|>",
    ])  # fmt: skip
    assert found == [
        Question(("hi",), ("Hello .", "Good day .")),
        Question(("hi", "Good day .", "name?"), ("Mr .\nClassic",)),
    ]


def test_compare():
    questions = [
        Question(("1",), ("a b c d e",)),
        Question(("2",), ("x", "a  b")),
        Question(("3",), ("a b c d e",)),
    ]
    # 4 of 5 words: just enough; 3 of 5 are too few
    assert recall_of(["a b c d q", "a b", "a b c q r"], questions) == Recall(
        questions=3, answered=2, exact=1, f1=pytest.approx((0.8 + 1 + 0.6) / 3)
    )
    assert recall_of([], []) == Recall(0, 0, 0, 0.0)
    assert recall_of([], []).share == 0.0


@pytest.fixture(scope="module")
def talker():
    tokenizer = small_tokenizer()
    return tokenizer, Generator(babbling_model(tokenizer), slots=3, turn_starts=[tokenizer.user_id])


QUESTIONS = [("hello",), ("how are you",), ("hello", "i am fine", "and you"), ("you " * 40,)]


def test_answers_are_those_of_each_prompt_alone(talker):
    tokenizer, generator = talker
    texts = answer_all(generator, tokenizer, QUESTIONS, max_tokens=9)
    assert len(set(texts)) > 1
    for turns, text in zip(QUESTIONS, texts, strict=True):
        ids = generator.generate(
            chat_prompt(tokenizer, list(turns), generator.window - 9), max_new_tokens=9,
            sampling=SamplingSettings(temperature=0), banned=tokenizer.special_ids,
        )  # fmt: skip
        assert text == tokenizer.decode(list(ids)).strip()


def test_a_model_that_says_the_answer(talker):
    tokenizer, generator = talker
    said = answer_all(generator, tokenizer, QUESTIONS, max_tokens=9)
    right = [Question(turns, (text,)) for turns, text in zip(QUESTIONS, said, strict=True)]
    # it babbles on until it is cut off, so it says more than a short answer
    assert measure_recall(generator, tokenizer, right).f1 < 1
    wrong = [dataclasses.replace(question, answers=("no",)) for question in right]
    assert measure_recall(generator, tokenizer, wrong).answered == 0
    assert measure_recall(generator, tokenizer, []) == Recall(0, 0, 0, 0.0)


def test_interrupted(talker):
    tokenizer, generator = talker
    asked = iter([False] * 5 + [True])
    assert answer_all(generator, tokenizer, QUESTIONS, interrupted=lambda: next(asked)) is None
    # and nothing is left in the slots
    assert answer_all(generator, tokenizer, QUESTIONS, max_tokens=3)


def test_curly_quotes_odd_spaces_and_ellipses_are_no_other_words():
    reply, answer = "I\u2019m\u00a0fine\u2026 \u201cvery\u201d", 'I\'m fine... "very"'
    assert token_f1(reply, answer) == 1
    assert recall_of([reply], [Question(("a",), (answer,))]).exact == 1
    assert token_f1("I 'm fine", "I'm fine") < 1  # figures over ASCII are what they were
