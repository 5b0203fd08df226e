"""Conversations as token ids, and replies as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chat_runs import small_tokenizer, stream_text
from support.small_tokenizer import PLAIN, TYPED, without_normaliser

from vidya.generation.chat_tokens import chat_prompt
from vidya.terminal.formatting import printable
from vidya.text.conversation_format import MARKERS, conversation, turns_of
from vidya.text.normalisation import normalised


@pytest.fixture(scope="session")
def tokenizer():
    return small_tokenizer()


# ---- prompts -------------------------------------------------------------------------

plain_turns = st.lists(
    st.text(max_size=30).filter(lambda text: not any(marker in text for marker in MARKERS)),
    min_size=1,
    max_size=7,
).filter(lambda turns: len(turns) % 2 == 1)


@given(plain_turns)
def test_a_prompt_is_what_training_data_begins_with(tokenizer, turns):
    turns = [" ".join(turn.split()) or "." for turn in turns]
    document = tokenizer.encode_document(conversation([*turns, "reply"]))
    prompt = chat_prompt(tokenizer, turns, 10_000)
    assert prompt == document[: len(prompt)]
    assert prompt[-1] == tokenizer.assistant_id


def test_a_conversation_has_the_same_ids_however_it_is_typed(tokenizer):
    typed, plain = [TYPED, "so", TYPED], [PLAIN, "so", PLAIN]
    assert chat_prompt(tokenizer, typed, 1000) == chat_prompt(tokenizer, plain, 1000)
    old = without_normaliser(tokenizer)
    assert chat_prompt(old, plain, 1000) == chat_prompt(tokenizer, plain, 1000)
    assert old.decode(chat_prompt(old, [TYPED], 1000)).count("\u2019") == 1


@pytest.mark.parametrize("marker", MARKERS)
def test_a_typed_marker_is_ordinary_text(tokenizer, marker):
    prompt = chat_prompt(tokenizer, [f"a {marker} b", f"{marker}{marker}", marker], 10_000)
    bos, user, assistant = tokenizer.bos_id, tokenizer.user_id, tokenizer.assistant_id
    assert [i for i in prompt if i in tokenizer.special_ids] == [
        bos, user, assistant, user, assistant,
    ]  # fmt: skip
    text = tokenizer.decode(prompt, skip_special=True)
    assert text == f" a {marker} b  {marker}{marker}  {marker} "


@given(plain_turns, st.integers(3, 120))
def test_a_long_conversation_loses_its_oldest_exchanges(tokenizer, turns, limit):
    prompt = chat_prompt(tokenizer, turns, limit)
    whole = chat_prompt(tokenizer, turns, 10_000)
    assert len(prompt) <= limit
    assert (prompt == whole) == (len(whole) <= limit)
    last = chat_prompt(tokenizer, turns[-1:], 10_000)
    if len(last) <= limit:
        # whole exchanges, the newest of them: nothing is cut in the middle
        kept = range(0, len(turns), 2)
        assert prompt in [chat_prompt(tokenizer, turns[k:], 10_000) for k in kept]
    else:
        assert prompt[:2] == last[:2] and prompt[2:] == last[len(last) - limit + 2 :]


def test_the_last_turn_must_be_the_users(tokenizer):
    with pytest.raises(ValueError, match="user"):
        chat_prompt(tokenizer, ["hello", "hi"], 100)


# ---- streams of text -----------------------------------------------------------------


@given(st.lists(st.integers(3, 280), max_size=60))
def test_the_pieces_of_a_stream_are_the_text(tokenizer, ids):
    ids = [i for i in ids if i < tokenizer.vocab_size]
    assert "".join(stream_text(tokenizer, ids)) == (
        tokenizer.decode(ids).replace("↵", "\n").strip()
    )


@given(st.text(max_size=40))
def test_a_character_comes_whole(tokenizer, text):
    pieces = list(stream_text(tokenizer, tokenizer.encode_text(text)))
    assert "".join(pieces) == normalised(text).strip()
    assert "\ufffd" not in "".join(pieces).replace("\ufffd", "", text.count("\ufffd"))


def test_a_stream_is_passed_on_as_it_comes(tokenizer):
    ids = tokenizer.encode_text(" zé!")
    seen = []
    stream = stream_text(tokenizer, (seen.append(i) or i for i in ids))
    assert next(stream) == "z"
    assert len(seen) < len(ids)
    assert list(stream) == ["é", "!"]


# ---- back from text --------------------------------------------------------------------


@given(plain_turns)
def test_a_conversation_is_read_back(turns):
    turns = [" ".join(turn.split()) for turn in turns]
    assert turns_of(conversation(turns)) == turns
    assert turns_of(f"<|bos|>{conversation(turns)} <|bos|>") == turns


@pytest.mark.parametrize(
    "document",
    ["", "text", "<|assistant|> a <|user|> b", "<|user|> a <|user|> b", "x <|user|> a",
     "<|user|> a <|bos|> b", "<|bos|>", "<|user|> a <|assistant|> b <|assistant|> c"],
)  # fmt: skip
def test_what_is_no_conversation(document):
    assert turns_of(document) is None


@given(st.text(alphabet="<|>userabot is", max_size=60))
def test_any_text_is_a_conversation_or_is_not(document):
    turns = turns_of(document)
    assert turns is None or turns_of(conversation(turns)) == turns


def test_what_is_shown_steers_no_terminal():
    text = "a\x1b[2Jb\x00\r\x9b\tc\nd é 漢"
    assert printable(text) == "a\ufffd[2Jb\ufffd\ufffd\ufffd\tc\nd é 漢"
    assert printable(text, one_line=True) == "a\ufffd[2Jb\ufffd \ufffd c d é 漢"
    assert printable(" a\n\tb \x1b[2J\x9b c\r\n", one_line=True) == "a b \ufffd[2J\ufffd c"
