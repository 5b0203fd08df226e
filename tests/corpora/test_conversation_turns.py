"""From messages to turns: roles that alternate, system messages, what cannot be used."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidya.corpora.conversation_turns import conversation_document, usable_turns
from vidya.text.corpus_file import Dropped

texts = st.text(st.characters(codec="utf-8"))
messages = st.lists(st.tuples(st.sampled_from(["user", "assistant"]), texts))
SYSTEM = ("system", "be nice")
EXCHANGE = [("user", "a"), ("assistant", "b")]


@given(messages)
def test_turns_alternate_and_nothing_said_is_lost(conversation):
    left_out = Dropped()
    spoken = [m for m in conversation if m[1].strip()]
    while spoken and spoken[0][0] == "assistant":
        spoken.pop(0)
    try:
        turns = usable_turns(conversation, left_out)
    except ValueError as error:
        assert str(error) == "without a reply to the user"
        assert not {"user", "assistant"} <= {role for role, _ in spoken}
        return
    assert "\n\n".join(turns) == "\n\n".join(text for _, text in spoken)
    assert len(turns) == len(list(itertools.groupby(role for role, _ in spoken))) >= 2
    assert left_out.total() == len(conversation) - len(spoken)


def test_neighbours_of_one_role_are_one_turn():
    both = [("user", "a"), ("user", "b"), ("assistant", "c"), ("assistant", "d")]
    assert usable_turns(both, Dropped()) == ["a\n\nb", "c\n\nd"]


def test_what_is_left_out_is_counted():
    left_out = Dropped()
    before = [("assistant", "hello"), ("user", " \n"), ("assistant", "yes")]
    assert usable_turns([SYSTEM, *before, *EXCHANGE], left_out) == ["a", "b"]
    assert +left_out == {
        "system message": 1,
        "empty message": 1,
        "message before the user's first": 2,
    }


@pytest.mark.parametrize(
    ("conversation", "reason"),
    [
        ([], "without a reply to the user"),
        ([("user", "only")], "without a reply to the user"),
        ([("assistant", "only")], "without a reply to the user"),
        ([*EXCHANGE, ("tool", "x"), ("assistant", "y")], "with calls of tools"),
        ([*EXCHANGE, ("narrator", "x")], "with an unknown role"),
    ],
)
def test_conversations_that_cannot_be_used(conversation, reason):
    with pytest.raises(ValueError, match=reason):
        usable_turns(conversation, Dropped())


@pytest.mark.parametrize(
    ("system", "expected", "left"),
    [
        ("drop", "<|user|> a <|assistant|> b <|user|> c", 2),
        ("merge", "<|user|> be nice↵↵a <|assistant|> b <|user|> now rude↵↵c", 0),
        ("keep", "be nice <|user|> a <|assistant|> b <|user|> now rude↵↵c", 0),
    ],
)
def test_system_messages(system, expected, left):
    conversation = [SYSTEM, *EXCHANGE, ("system", "now rude"), ("user", "c")]
    left_out = Dropped()
    assert conversation_document(conversation, left_out, system) == expected
    assert left_out["system message"] == left


def test_a_system_message_that_nothing_follows_is_counted():
    left_out = Dropped()
    assert usable_turns([*EXCHANGE, SYSTEM], left_out, "merge") == ["a", "b"]
    assert left_out["system message"] == 1


def test_a_kept_system_message_says_no_markers():
    head = ("system", "<|user|> is\nwho asks")
    document = conversation_document([head, *EXCHANGE], Dropped(), "keep")
    assert document == "< |user|> is↵who asks <|user|> a <|assistant|> b"
