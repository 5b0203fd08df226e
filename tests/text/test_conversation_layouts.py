"""Conversations in any layout that is clear, and what is told of those that are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.layouts import LAYOUTS, TWO

from vidya.text.conversation_format import long_conversation, turns_of
from vidya.text.conversation_layouts import conversations_in, counted_things, why_never_asked
from vidya.text.corpus_file import read_lines


def read(text):
    """The documents of a file, why they are never asked for, and what was done."""
    lines = text.split("\n")
    found = conversations_in(lambda: lines)
    documents = list(found)
    return [one.text for one in documents], [one.fault for one in documents], found.done


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(tmp_path, name):
    text, documents = LAYOUTS[name]
    path = tmp_path / "file"
    path.write_bytes(text.encode())
    found = conversations_in(lambda: read_lines(path, tables=True))
    assert [(one.text, one.fault) for one in found] == [(text, None) for text in documents]
    untouched = name in ("the corpus form", "windows")
    assert untouched != bool(found.done)


texts = st.text(st.sampled_from("ab .,é你↵<|>"), min_size=1, max_size=9)


turns = st.lists(texts, min_size=2, max_size=5)


@given(st.lists(turns.filter(lambda turns: turns[-1].strip()), min_size=1, max_size=4))
def test_what_a_converter_wrote_stays_what_it_is(conversations):
    lines = [long_conversation(turns) for turns in conversations]
    found, faults, done = read("\n".join(lines))
    assert found == lines and not done
    assert faults == [why_never_asked(line) for line in lines]


MARKS = ["<|user|>", "<|assistant|>", "<|bos|>", "<|USER|>", "</s>", "- ", " ", "z", "↵", "\n"]


@given(st.lists(st.sampled_from(MARKS)))
def test_no_word_is_lost_and_nothing_is_done_twice(parts):
    text = "".join(parts)
    lines = text.split("\n")
    once = conversations_in(lambda: lines)
    if once is None:
        return
    documents = [one.text for one in once]
    assert "".join(documents).count("z") == text.count("z")
    again = conversations_in(lambda: documents)
    if again is not None and all(one.fault is None for one in once):
        assert [one.text for one in again] == documents and not again.done


def test_a_marker_that_a_converter_took_away_stays_away():
    lines = "<|user|> what is < |user|> <|assistant|> a < |assistant|> marker"
    assert read(lines)[0] == [lines] and turns_of(lines)[0] == "what is < |user|>"


@pytest.mark.parametrize(
    "said", ["<|USER|>", "<| bot |>", "<｜User｜>", "<|user>", ": a", "&lt;|user|&gt;"]
)
def test_what_looks_like_a_marker_in_converted_words_is_none(said):
    lines = long_conversation([f"{said} what", f"a {said}"])
    documents, faults, done = read(lines)
    assert documents == [lines] and faults == [None] and not done
    assert long_conversation(turns_of(lines)) == lines


def test_what_goes_on_from_turn_to_turn_is_told():
    done = read("<|user|> a\n<|assistant|> b\n# mine\n<|user|> c\n<|assistant|> d")[-1]
    assert done["lines without a marker, part of the turn above"] == 1
    assert any(
        "each question beginning" in what for what in read("Q: a\n\nA: b\n\nQ: c\n\nA: d")[-1]
    )


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (TWO[0], None),
        ("just text", "no markers"),
        ("<|user|> a", "no reply"),
        ("<|assistant|> a", "begins with the assistant"),
        ("<|assistant|> a <|user|> b", "begins with the assistant"),
        ("<|user|> a <|user|> b <|assistant|> c", "the same speaker twice in a row"),
        ("<|user|> a <|assistant|> b <|assistant|> c", "the same speaker twice in a row"),
        ("<|user|> a <|assistant|> b <|user|> c", "ends with the user"),
        ("<|user|> <|assistant|> b", "no question"),
        ("<|user|> a <|assistant|>", "no answer"),
        ("<|user|><|assistant|>", "no question"),
        ("so <|user|> a <|assistant|> b", "text before the first marker"),
        ("so<|user|>a<|assistant|>b", "text before the first marker"),
    ],
)
def test_what_can_never_be_asked_stays_as_it_stands(line, fault):
    assert read(f"{TWO[1]}\n{line}\n{TWO[1]}")[:2] == (
        [TWO[1], line, TWO[1]], [None, fault, None],
    )  # fmt: skip


def test_lines_are_told_by_their_numbers():
    lines = ["", "text", "<|user|> hi", "<|assistant|> hello", "", "<|user|> alone", TWO[0]]
    found = list(conversations_in(lambda: lines))
    assert [(one.line, one.fault) for one in found] == [
        (2, "no markers"), (3, None), (6, "no reply"), (7, None),
    ]  # fmt: skip


def test_what_was_done_is_counted():
    *_, done = read(f"<|user|>hi<|assistant|>hello\n{TWO[0]}\n- {TWO[0]}\n{TWO[0]}  x\n" * 2)
    assert counted_things(done) == (
        "no spaces around markers (2); bullets or numbers, left out (2); "
        "more than single spaces (2)"
    )
    *_, done = read("<|user|> a\n<|assistant|> b\n<|user|> c\n<|assistant|> d")
    assert counted_things(done) == "a turn a line, each <|user|> beginning a conversation (2)"


@pytest.mark.parametrize(
    "text",
    [
        "It was a dark night.\nQ: why?",
        "Q: who?\nA: me.\n" + "Some prose.\n" * 9,
        "a\tb\tc\nd\te\tf",
        "a\tb\nc\nd",
        "User: hi\nUser: there",
        "<b>bold</b> [user]",
        "",
        "\n\n",
    ],
)
def test_nobody_is_marked_to_speak(text):
    assert conversations_in(lambda: text.split("\n")) is None
