"""Lessons: their answers as ids, their settings, and their way into a journal and back."""

import dataclasses

import pytest
from support.lessons import CANDIDATES, CASES, FIXED, PICK, TOKENIZER, candidate
from support.small_tokenizer import PLAIN, TYPED, without_normaliser

from vidya.errors import UserError
from vidya.posttraining.teaching.lesson import parse_lesson
from vidya.posttraining.teaching.options import RATE, LessonSettings


def test_answers_of_a_lesson():
    answers, right = PICK.answers(TOKENIZER, 64)
    assert right and [a.reply for a in answers] == [
        CANDIDATES[i].ids for i in (2, 0, 1, 3, 4)
    ]  # fmt: skip
    assert all(a.prompt[-1] == TOKENIZER.assistant_id for a in answers)
    answers, _ = CASES["pick of two alike"].answers(TOKENIZER, 64)
    assert [a.reply for a in answers] == [CANDIDATES[i].ids for i in (1, 0, 2, 4)]
    answers, _ = CASES["answer"].answers(TOKENIZER, 64)
    assert len(answers) == 6 and answers[0].reply[-1] == TOKENIZER.user_id
    assert TOKENIZER.decode(answers[0].reply[:-1]) == " i am thank you "


def test_a_teachers_answer_is_laid_out_as_in_the_corpus():
    def ids(text):
        answers, _ = dataclasses.replace(CASES["answer"], answer=text).answers(TOKENIZER, 64)
        return answers[0].reply

    found = ids(" i am\tfine ")
    document = TOKENIZER.encode_document("<|user|> hello <|assistant|> i am  fine <|user|> so")
    begin = document.index(TOKENIZER.assistant_id) + 1
    assert document[begin : begin + len(found)] != found  # two spaces there
    document = TOKENIZER.encode_document("<|user|> hello <|assistant|> i am fine <|user|> so")
    assert document[begin : begin + len(found)] == found
    assert TOKENIZER.bos_id not in ids("x <|bos|> y")


def test_a_lesson_is_the_same_however_it_is_typed():
    typed, plain = (
        dataclasses.replace(
            CASES["answer"], turns=(text,), answer=text, candidates=(candidate(PLAIN), *CANDIDATES)
        )
        for text in (TYPED, PLAIN)
    )
    answers, _ = typed.answers(TOKENIZER, 64)
    assert answers == plain.answers(TOKENIZER, 64)[0]
    assert len(answers) == 1 + len(CANDIDATES)  # what says the same is none of the others
    assert typed.is_right(f" {PLAIN}  ", TOKENIZER) and not typed.is_right("I'm", TOKENIZER)
    assert not CASES["rejection"].is_right(PLAIN, TOKENIZER)
    old = without_normaliser(TOKENIZER)
    assert len(typed.answers(old, 64)[0]) == 2 + len(CANDIDATES)  # as journals of before have it
    assert not typed.is_right(PLAIN, old)


@pytest.mark.parametrize(
    ("changes", "saying"),
    [
        ({"pick": 6}, "no candidate 6"), ({"pick": -1}, "no candidate -1"),
        ({"pick": None}, "either a pick or an answer"), ({"answer": "x"}, "either a pick"),
        ({"pick": None, "answer": " "}, "cannot be empty"),
        ({"turns": ("a", "b")}, "must be the user's"),
        ({"pick": 0, "candidates": ()}, "nothing to reject"),
    ],
)  # fmt: skip
def test_lessons_that_make_no_sense(changes, saying):
    with pytest.raises(ValueError, match=saying):
        dataclasses.replace(PICK, **changes)


def test_a_lesson_goes_into_json_and_back():
    for lesson in CASES.values():
        assert parse_lesson(lesson.plain()) == lesson
    old = dataclasses.replace(PICK, settings=FIXED, forms=())
    assert parse_lesson(old.plain()) == old and "forms" not in old.plain()
    with pytest.raises((ValueError, KeyError, TypeError)):
        parse_lesson({**PICK.plain(), "settings": {"method": "other"}})


@pytest.mark.parametrize(
    "changes",
    [{"method": "x"}, {"steps": 0}, {"lr": 0.0}, {"lr": float("nan")}, {"replay": -1},
     {"anchor": 0.0}, {"forms": -1}, {"others": 65}, {"rehearse": -1}, {"beta": -1.0},
     {"kl": -0.1}, {"kl": float("inf")}, {"clip": 0.0}],
)  # fmt: skip
def test_settings_that_make_no_sense(changes):
    (name,) = changes
    with pytest.raises(UserError, match=f"--{name} must be"):
        LessonSettings(**changes).check()


def test_the_rate_is_a_share_of_what_the_preset_is_trained_with():
    tenth, big, other = (LessonSettings("dpo").resolved(name) for name in ("10m", "25m", None))
    assert tenth.rate == pytest.approx(RATE * 1e-3)
    assert big.rate == other.rate == pytest.approx(RATE * 3e-4)
    assert LessonSettings(lr=2e-3, rehearse=3).resolved("25m") == LessonSettings(
        lr=2e-3, rehearse=3
    )
    with pytest.raises(ValueError, match="depends on a model"):
        _ = LessonSettings().rate


def test_the_rate_falls_in_a_line_to_its_last_share():
    settings = LessonSettings(lr=1.0, steps=4, last_rate=0.2)
    assert [settings.rate_of(step) for step in (0, 2, 4)] == pytest.approx([1.0, 0.6, 0.2])


def test_settings_that_came_later_stand_for_what_was_learnt_before():
    """A line of a journal that has not all settings of now keeps its bytes and its meaning."""
    before = LessonSettings(lr=1e-5, own_replies=0.0, decay=0.0, last_rate=1.0)
    plain = dataclasses.replace(PICK, settings=before).plain()
    assert not {"own_replies", "decay", "last_rate"} & set(plain["settings"])
    assert parse_lesson(plain).settings == before
    assert before.rate_of(3) == before.rate
    assert parse_lesson(PICK.plain()).settings == PICK.settings != before
