"""What a persona is worth: in each way of asking, and in words."""

import pytest
from support.chat_runs import babbling_model, small_tokenizer

from vidya.chatting.session import Conversation
from vidya.generation.generator import Generator
from vidya.generation.sampling_settings import SamplingSettings
from vidya.measuring import answers_given, taught_conversations, taught_recall
from vidya.measuring.persona_scores import (
    Count,
    OrdinaryMessages,
    PersonaScores,
    forgetting_line,
    score_persona,
)
from vidya.measuring.taught_conversations import converse, dealt
from vidya.measuring.taught_recall import Question, Recall, answer_all
from vidya.storage.pretrained import Pretrained


@pytest.fixture(autouse=True)
def cut_off(monkeypatch):
    """Replies end after 20 tokens: the model never ends one itself."""
    for module in (answers_given, taught_conversations, taught_recall):
        monkeypatch.setattr(module, "most_tokens", lambda tokenizer, answers: 20)


MESSAGES = ["hello", "how are you", "fine", "thank you", "and you", "there", "i am", "you you",
            "are you fine", "hello you", "hello there", "thank"]  # fmt: skip


@pytest.fixture(scope="module")
def talker():
    tokenizer = small_tokenizer()
    model = babbling_model(tokenizer)
    return tokenizer, model, Generator(model, slots=3, turn_starts=[tokenizer.user_id])


def test_every_question_is_dealt_once_and_the_seed_decides():
    questions = [Question((str(n),), ("a",)) for n in range(25)]
    later = Question(("1", "a", "2"), ("b",))
    talks = dealt([*questions, later], seed=5)
    assert [len(talk) for talk in talks] == [9, 8, 8]
    asked = [question for talk in talks for question in talk]
    assert asked != questions and sorted(asked, key=questions.index) == questions
    assert talks == dealt(questions, seed=5) != dealt(questions, seed=6)
    assert dealt([later], seed=0) == []


def test_conversations_are_those_of_chat(talker):
    tokenizer, model, generator = talker
    questions = [Question((text,), ("thank you fine",)) for text in MESSAGES]
    talks = [questions[:8], questions[8:]]
    said = converse(generator, tokenizer, talks)
    pretrained = Pretrained(model, tokenizer, {}, None)
    for talk, replies in zip(talks, said, strict=True):
        chat = Conversation(pretrained, SamplingSettings(temperature=0), max_tokens=20)
        assert replies == ["".join(chat.reply(question.turns[0])) for question in talk]
    assert len(set(said[0])) > 2


def test_each_score_counts_its_own(talker):
    tokenizer, _, generator = talker
    said = answer_all(generator, tokenizer, [("hello",), ("thank you",)], max_tokens=20)
    questions = [Question(("hello",), (said[0],)), Question(("how are you",), ("no no no",))]
    found = score_persona(
        generator, tokenizer, questions,
        rewordings={questions[0]: ["hello", "thank you"], questions[1]: ["fine"]},
        ordinary=OrdinaryMessages(["hello", "how are you"], [said[0], None]),
    )  # fmt: skip
    assert (found.as_taught.answered, found.as_taught.questions) == (1, 2)
    assert found.in_other_words.of == 3
    assert found.in_conversation.of == 2
    assert found.leaks is not None and found.leaks_before == Count(1, 2)
    assert score_persona(generator, tokenizer, []) == PersonaScores(
        Recall(0, 0, 0, 0.0), Count(0, 0), Count(0, 0), None, None
    )
    assert score_persona(generator, tokenizer, questions, interrupted=lambda: True) is None


def test_scores_in_words():
    scores = PersonaScores(
        Recall(134, 134, 130, 1.0), Count(312, 402), Count(0, 0), Count(1, 200), Count(3, 200)
    )
    assert scores.lines() == [
        "asked as taught: 134 of 134",
        "asked in other words: 312 of 402 (78%)",
        "other messages that wrongly get a taught answer: 1 of 200 (1%); 3 got one before, too, "
        "and do not count",
        "in short: it knows what it was taught, mostly in other words, too, and says it only when "
        "asked",
    ]
    assert scores.lines("16 more held out")[0] == "asked as taught: 134 of 134 (16 more held out)"
    assert str(Count(199, 200)) == "199 of 200 (99%)" and str(Count(0, 200)) == "0 of 200"
    assert scores.figures()["in_other_words"] == 312
    assert scores.figures()["in_conversation_asked"] == 0


@pytest.mark.parametrize(
    ("known", "reworded", "leaks", "said"),
    [(8, 24, 0, "knows what it was taught, mostly in other words, too, and says it only when "
      "asked"),
     (7, 14, 7, "knows a part of what it was taught, at times in other words, too, but says it to "
      "some others, too"),
     (3, 7, 30, "does not know yet what it was taught, hardly ever in other words, but says it to "
      "many others, too"),
     (0, 0, 6, "does not know yet what it was taught, and says it only when asked")],
)  # fmt: skip
def test_what_scores_say_in_short(known, reworded, leaks, said):
    scores = PersonaScores(
        Recall(8, known, known, 1.0), Count(reworded, 24), Count(0, 8), Count(leaks, 200), None
    )
    assert scores.lines()[-1] == f"in short: it {said}"


@pytest.mark.parametrize(
    ("now", "told"),
    [(2.0, "little: text of the base corpus takes 0.0% more"), (2.06, "some: text of the base "
     "corpus takes 3.0% more"), (2.4, "much: text of the base corpus takes 20.0% more"),
     (1.9, "little: text of the base corpus takes 5.0% fewer")],
)  # fmt: skip
def test_forgetting_in_words(now, told):
    assert forgetting_line(2.0, now) == f"forgetting, {told} bits than before"
