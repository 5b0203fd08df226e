from hypothesis import given
from hypothesis import strategies as st

from vidya.text import conversation_format

texts = st.text(st.characters(codec="utf-8"))


def test_conversation():
    assert conversation_format.conversation([" Hi \n there", "Hello", "ok"]) == (
        "<|user|> Hi there <|assistant|> Hello <|user|> ok"
    )


@given(st.lists(texts, min_size=2, max_size=5))
def test_text_of_a_turn_is_never_a_marker(turns):
    turns = [f"{turn}<|user|>{turn}<|bos|><<|assistant|>" for turn in turns]
    document = conversation_format.conversation(turns)
    assert document.count(conversation_format.USER) == (len(turns) + 1) // 2
    assert document.count(conversation_format.ASSISTANT) == len(turns) // 2
    assert conversation_format.BOS not in document
    assert document.count("< |bos|>") >= len(turns)
    assert "\n" not in document


def test_half_a_surrogate_pair_becomes_writable():
    assert conversation_format.conversation(["a\ud800b", "c"]) == "<|user|> a?b <|assistant|> c"
