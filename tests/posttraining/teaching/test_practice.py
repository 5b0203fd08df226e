"""What a step of a lesson sees: forms, histories, earlier lessons, and messages that are held."""

import dataclasses
import itertools

import pytest
from support.chat_runs import small_tokenizer
from support.lessons import CASES, PICK, corpus_in

from vidya.posttraining.answer_batches import Answer
from vidya.posttraining.replay_corpus import open_replay_corpus
from vidya.posttraining.teaching.options import LessonSettings
from vidya.posttraining.teaching.other_messages import OtherMessages
from vidya.posttraining.teaching.practice import Practice, draw_forms
from vidya.text import token_cache

TOKENIZER = small_tokenizer()
LESSON = dataclasses.replace(CASES["answer"], settings=LessonSettings(lr=1.0, forms=2, others=6))
EARLIER = [dataclasses.replace(CASES["pick"], number=1, turns=("and you",)), CASES["rejection"]]
TALK = ["who are you", "how old are you", "do you smoke", "where is my hat", "what is the time"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    documents = [f"<|user|> {text} <|assistant|> well well well well" for text in TALK]
    token_cache.build(folder / "train.tokens", documents, TOKENIZER, "hash")
    return open_replay_corpus(folder, TOKENIZER)


def with_settings(**changes):
    return dataclasses.replace(LESSON, settings=dataclasses.replace(LESSON.settings, **changes))


def practice_of(lesson, earlier=(), corpus=None):
    windows = corpus.replay(16, seed=0) if corpus else None
    others = OtherMessages(corpus, TOKENIZER)
    return Practice(lesson, lesson.settings, earlier, others, windows, TOKENIZER, 64)


def texts(batch):
    """Each text of a batch: what is given, and what counts after it."""
    found = []
    for begin, end in itertools.pairwise(batch.offsets):
        targets = batch.targets[begin:end]
        first = int((targets >= 0).argmax())
        prompt = TOKENIZER.decode(batch.tokens[begin : begin + first + 1].tolist())
        found.append((prompt, TOKENIZER.decode(targets[targets >= 0].tolist())))
    return found


def test_forms_are_distinct_and_drawn_by_the_number_of_the_lesson():
    forms = draw_forms(TOKENIZER, "who are you", 3)
    assert (
        forms == draw_forms(TOKENIZER, "who are you", 3) != draw_forms(TOKENIZER, "who are you", 4)
    )
    assert len(set(forms)) == len(forms) > 4
    assert tuple(TOKENIZER.encode_text(" who are you ")) not in forms


def test_the_answer_comes_after_the_question_as_it_stands_later_and_in_other_forms(corpus):
    steps = [texts(practice_of(LESSON, EARLIER, corpus).step(n).own) for n in range(12)]
    plain = "<|bos|><|user|> hello there <|assistant|>"
    assert all(len(some) == 4 and some[0][0] == plain for some in steps)
    assert {answer for some in steps for _, answer in some} == {" i am thank you <|user|>"}
    later = [some[1][0] for some in steps]
    assert any(" and you " in text for text in later)  # after a taught question and its answer
    assert any(" well well " in text for text in later)  # after talk of the corpus
    assert all(text.endswith("<|user|> hello there <|assistant|>") for text in later)
    forms = {TOKENIZER.decode(form) for form in LESSON.forms}
    asked = {text.split("<|user|>")[-1].removesuffix("<|assistant|>") for some in steps
             for text, _ in some[2:]}  # fmt: skip
    assert asked <= forms and len(asked) > 3
    alone = with_settings(forms=0)
    assert len(texts(practice_of(alone, EARLIER, corpus).step(0).own)) == 2


def test_earlier_lessons_come_in_forms_and_a_conversation_stays_one(corpus):
    steps = [texts(practice_of(LESSON, EARLIER, corpus).step(n).rehearsed) for n in range(12)]
    assert {answer for some in steps for _, answer in some} == {" you and you <|bos|>"}
    assert len({prompt for some in steps for prompt, _ in some}) > 3
    talk = dataclasses.replace(LESSON, turns=("hello", "there", "how are you"))
    for prompt, _ in texts(practice_of(talk, (), corpus).step(1).own):
        assert "<|user|> hello <|assistant|> there <|user|>" in prompt


def test_the_model_is_held_where_a_reply_begins(corpus):
    """After other messages: at their own replies, and where a taught answer would begin."""
    lesson = with_settings(own_replies=0)
    steps = [practice_of(lesson, EARLIER, corpus).step(n) for n in range(8)]
    answers, leaks = set(), 0
    for step in steps:
        held = texts(step.held)
        assert len(held) == 5 + 1  # each message there is, and a window
        for number, (prompt, reply) in enumerate(held[:-1]):
            assert prompt.endswith("<|assistant|>") and len(reply.split()) <= 5
            assert "hello there" not in prompt.split("<|user|>")[-1]
            answers.add(reply.split()[0])
            if number in step.leaks:
                leaks += 1
                assert " i am thank you".startswith(reply.rstrip()[:12])
    assert answers == {"i", "you", "well"} and leaks > 8
    nothing = practice_of(LESSON, EARLIER).step(0)
    assert nothing.held is None and nothing.leaks == ()


def test_near_misses_share_rare_words(corpus):
    others = OtherMessages(corpus, TOKENIZER)
    apart = others.apart_from(["who are you?"])
    assert [one.text for one in apart if one.text == "who are you"] == []  # that is the question
    assert len(apart) == len(TALK) - 1
    assert "who are you" not in [one.text for one in others.apart_from(["are you who"])]
    nearest = others.nearest("do you sleep", apart, 2)
    assert nearest[0].text == "do you smoke"
    assert others.nearest("zzz", apart, 2) == []


def test_the_same_steps_are_the_same(corpus):
    first, second = (practice_of(LESSON, EARLIER, corpus) for _ in range(2))
    for number in range(3):
        steps = [some.step(number) for some in (first, second)]
        for kind in ("own", "rehearsed", "held"):
            one, other = (getattr(step, kind) for step in steps)
            assert one.tokens.tobytes() == other.tokens.tobytes()
            assert one.targets.tobytes() == other.targets.tobytes()
        for some in (first, second):
            some.saw([[7 + number] * len(reply) for reply in replies(steps[0].held)])


def replies(batch):
    """What counts of each text, as ids."""
    ends = itertools.pairwise(batch.offsets)
    return [batch.targets[a:b][batch.targets[a:b] >= 0].tolist() for a, b in ends]


def test_replies_go_where_the_model_goes(corpus):
    """A share of the held replies is what was likeliest in the step before, the others are drawn
    anew; a window has no part in that."""
    practice = practice_of(with_settings(others=5, own_replies=0.6), (), corpus)
    first = replies(practice.step(0).held)
    assert len(first) == 5 + 1 and len(first[0]) <= 5
    word = TOKENIZER.encode_text(" well")[0]
    practice.saw([[word, TOKENIZER.user_id, word], [word] * 5, [word] * 14, *first[3:]])
    assert replies(practice.step(1).held)[0] == [word, TOKENIZER.user_id]
    prompts = []
    for number in range(2, 12):
        held = practice.step(number).held
        prompts.append(texts(held)[1][0])
        practice.saw(replies(held))
    assert len(set(prompts)) > 1  # each message stays for some steps


def test_near_misses_of_earlier_questions_are_held(corpus):
    earlier = [dataclasses.replace(EARLIER[0], turns=("who is my friend",))]
    practice = practice_of(with_settings(others=5, own_replies=1), earlier, corpus)
    asked = set()
    for number in range(40):
        held = practice.step(number).held
        asked.add(texts(held)[1][0].split("<|user|>")[-1])
        practice.saw(replies(held))
    assert len(asked) > 1
    assert not asked & {" how old are you <|assistant|>", " do you smoke <|assistant|>"}


def test_what_was_missed_is_rehearsed_again(corpus):
    earlier = [
        dataclasses.replace(EARLIER[0], number=n, turns=(f"and you {word}",), forms=())
        for n, word in enumerate(("hello", "there", "fine", "thank"))
    ]
    practice = practice_of(with_settings(rehearse=2), earlier, corpus)
    asked = []
    for number in range(6):
        step = practice.step(number)
        asked.append([one.split("<|user|>")[-1] for one, _ in texts(step.rehearsed)])
        practice.saw(replies(step.held), [False, True])
    assert {first for first, _ in asked} == {asked[0][0]}
    assert {second for _, second in asked} == {
        f" and you {word} <|assistant|>" for word in ("hello", "there", "fine", "thank")
    } - {asked[0][0]}


def test_leaks_are_looked_for_among_near_misses_and_others(corpus):
    practice = practice_of(with_settings(others=5, own_replies=1), EARLIER[:1], corpus)
    prompts = practice.to_search(3)
    assert len(prompts) == 3 and prompts == practice.to_search(5)[:3]
    asked = [TOKENIZER.decode(one) for one in practice.to_search(99)]
    assert sorted(asked) == sorted(f"<|bos|><|user|> {text} <|assistant|>" for text in TALK)
    assert practice_of(LESSON).to_search(99) == practice.to_search(0) == []
    practice.step(0)
    answer = " i am thank you <|user|>"
    (reply,) = [one for one in practice.taught if TOKENIZER.decode(one) == answer]
    practice.bring([Answer(prompts[1], reply)])
    held = texts(practice.step(1).held)
    assert (TOKENIZER.decode(prompts[1]), answer) in held


def test_what_is_asked_after_a_lesson_is_held_out(tmp_path):
    (tmp_path / "a").mkdir()
    corpus = corpus_in(tmp_path / "a")
    assert len(OtherMessages(corpus, TOKENIZER).to_ask(["hello 3"])) == 20
    held_out = dataclasses.replace(corpus, held_out=corpus.train, train=None)
    assert len(OtherMessages(held_out, TOKENIZER).to_ask(["hello"])) == 0  # all near that
    assert OtherMessages(None, TOKENIZER).to_ask(["x"]) == []
    assert PICK.forms
