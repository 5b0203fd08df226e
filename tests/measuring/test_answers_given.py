"""Replies that end as soon as they can be no answer, and taught answers to other messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chat_runs import babbling_model, small_tokenizer

from vidya.generation.generator import Generator
from vidya.generation.replies import write_replies
from vidya.measuring import answers_given as module
from vidya.measuring.answers_given import GREEDY, PossibleAnswers, answers_given
from vidya.measuring.leaks import leaked, lesson_leaks, taught_answers_to
from vidya.measuring.taught_recall import ENOUGH, answer_all, best_f1

TEXTS = st.lists(st.sampled_from("a b c d . ... … I've I’ve".split()), max_size=9).map(" ".join)


@given(TEXTS, st.lists(TEXTS, min_size=1, max_size=3))
def test_what_becomes_an_answer_is_never_given_up(reply, answers):
    possible = PossibleAnswers(answers)
    given_up = any(possible.none_left(reply[:end]) for end in range(len(reply) + 1))
    assert not (given_up and best_f1(reply, answers) >= ENOUGH)


def test_an_answer_in_curly_quotes_is_an_answer_in_straight_ones():
    possible = PossibleAnswers(["I’m, I’ve…"])
    assert not possible.none_left("I'm, I've...")


def test_other_replies_are_given_up_early():
    possible = PossibleAnswers(["I am vidya", "yes"])
    assert not possible.none_left("What")  # may become "Whatever"
    assert not possible.none_left("What about")  # one word of three may be another
    assert possible.none_left("What about it")


@pytest.fixture(scope="module")
def talker():
    tokenizer = small_tokenizer()
    return tokenizer, Generator(babbling_model(tokenizer), slots=3, turn_starts=[tokenizer.user_id])


@pytest.fixture(autouse=True)
def cut_off(monkeypatch):
    """Replies end after 20 tokens: the model never ends one itself."""
    monkeypatch.setattr(module, "most_tokens", lambda tokenizer, answers: 20)


QUESTIONS = [("hello",), ("how are you",), ("hello", "i am fine", "and you"), ("you " * 40,)]


def test_the_replies_that_are_answers_are_found(talker):
    tokenizer, generator = talker
    said = answer_all(generator, tokenizer, QUESTIONS, max_tokens=20)
    answers = [[said[0]], ["no"], ["no", said[2]], ["thank you"]]
    found = answers_given(generator, tokenizer, QUESTIONS, answers)
    assert [text is not None for text in found] == [True, False, True, False]
    assert best_f1(found[0], answers[0]) >= ENOUGH


def test_a_message_leaks_what_the_base_did_not_say(talker):
    tokenizer, generator = talker
    said = answer_all(generator, tokenizer, QUESTIONS[:2], max_tokens=20)
    found = taught_answers_to(generator, tokenizer, ["hello", "how are you"], ["no", *said])
    assert None not in found
    assert leaked(found, None) == leaked(found, ["no", None]) == 2
    assert leaked(found, [found[0], None]) == 1
    assert lesson_leaks(generator, tokenizer, "no thank you", ["hello", "how are you"]) == 0
    assert lesson_leaks(generator, tokenizer, said[0], ["hello"] * 4) == 4
    assert taught_answers_to(generator, tokenizer, ["hello"], []) == [None]


def test_a_reply_that_is_enough_gives_its_place_to_the_next(talker):
    tokenizer, generator = talker
    prompts = [[tokenizer.bos_id, tokenizer.user_id, n, tokenizer.assistant_id] for n in range(9)]
    alone = [
        [r for r, _ in write_replies(generator, tokenizer, [p], max_tokens=8, sampling=GREEDY)][-1]
        for p in prompts
    ]
    replies = {
        reply.number: reply
        for reply, _ in write_replies(
            generator, tokenizer, prompts, max_tokens=8, sampling=GREEDY,
            enough=lambda reply: reply.number % 2 == 0 and reply.tokens == 3,
        )
    }  # fmt: skip
    for number, reply in replies.items():
        if number % 2:
            assert (reply.ids, reply.end) == (alone[number].ids, alone[number].end)
        else:
            assert (reply.ids, reply.end) == (alone[number].ids[:3], "stopped")


def test_interrupted(talker):
    tokenizer, generator = talker
    asked = iter([False] * 5 + [True])
    answers = [["hello thank you"]] * 4
    assert answers_given(generator, tokenizer, QUESTIONS, answers,
                         interrupted=lambda: next(asked)) is None  # fmt: skip
    assert len(answers_given(generator, tokenizer, QUESTIONS, answers)) == 4  # all slots are free
