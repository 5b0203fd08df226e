"""A text as its tokens come: stop strings across tokens, characters across tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chat_runs import stream_text
from support.served import TOKENIZER

from vidya.serving.writing_job import WrittenToken
from vidya.serving.written_text import WrittenText


def byte_ids(text):
    """Ids of the bytes of a text, one each."""
    return [TOKENIZER._tokenizer.token_to_id(c) for c in _letters(text.encode())]


def _letters(raw):
    from vidya.text.tokenizer import byte_alphabet

    by_byte = {byte: letter for letter, byte in byte_alphabet().items()}
    return [by_byte[byte] for byte in raw]


def written(ids, stop=(), *, strip=False):
    """The pieces in which a text is shown, its tokens, and whether a stop string ended it."""
    text = WrittenText(TOKENIZER, stop, strip=strip)
    pieces, tokens = [], []
    for number, i in enumerate(ids):
        text.add(WrittenToken(i, -float(number)))
        if text.stopped:
            break
        piece, some = text.take(all_of_it=False)
        pieces.append(piece)
        tokens.extend(some)
    piece, some = text.take(all_of_it=True)
    return [*pieces, piece], [*tokens, *some], text.stopped


@pytest.mark.parametrize(
    ("said", "stop", "shown"),
    [
        ("one END two", ["END"], "one "),
        ("one EN two", ["END"], "one EN two"),
        ("EEND", ["END"], "E"),
        ("END", ["END"], ""),
        ("ababac!", ["abac"], "ab"),
        ("a.b", ["?", "."], "a"),
        ("wörld é!", ["é"], "wörld "),
        ("a\nb", ["\n"], "a"),
        ("the end", ["the end of it"], "the end"),
    ],
)
def test_a_stop_string_ends_the_text_and_none_of_it_is_shown(said, stop, shown):
    pieces, tokens, stopped = written(byte_ids(said), stop)
    assert "".join(pieces) == shown and stopped == (shown != said)
    assert len(tokens) == len(shown.encode())
    for count in range(len(pieces)):  # nothing that was shown is taken back
        assert shown.startswith("".join(pieces[:count]))


def test_what_may_begin_a_stop_string_waits_and_nothing_else():
    pieces, _, _ = written(byte_ids("a st-op"), ["stop"])
    assert pieces == ["a", " ", "", "", "st-", "o", "p", ""]


def test_no_character_is_shown_in_parts_and_tokens_tell_where_they_begin():
    pieces, tokens, _ = written(byte_ids("é€a"))
    assert pieces == ["", "é", "", "", "€", "a", ""]
    assert [token.at for token in tokens] == [0, 0, 1, 1, 1, 2]


@given(
    st.text("ab é\n", max_size=12), st.lists(st.text("ab é", min_size=1, max_size=3), max_size=2)
)
def test_any_text_is_cut_at_the_first_stop_string(said, stop):
    pieces, _, stopped = written(byte_ids(said), stop)
    found = [said.index(one) for one in stop if one in said]
    # of stop strings that are whole at the same token the one that begins first counts
    assert stopped == bool(found)
    shown = "".join(pieces)
    assert said.startswith(shown) and not any(one in shown for one in stop)
    assert found or shown == said


@given(st.lists(st.integers(3, TOKENIZER.vocab_size - 1), max_size=20))
def test_a_reply_is_that_of_chat(ids):
    text = WrittenText(TOKENIZER, (), strip=True)
    for i in ids:
        text.add(WrittenToken(i, 0.0))
    text.end()
    assert text.take(all_of_it=True)[0] == "".join(stream_text(TOKENIZER, ids))
