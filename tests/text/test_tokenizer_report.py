import pytest
from support.small_tokenizer import a_tokenizer

from vidya.text.conversation_format import ASSISTANT, USER
from vidya.text.tokenizer_report import statistics


def test_statistics():
    tokenizer = a_tokenizer()
    documents = [f"{USER} é {ASSISTANT} b", "c"]
    found = statistics(tokenizer, documents)
    ids = [i for d in documents for i in tokenizer.encode_document(d)]
    plain = [i for i in ids if i not in tokenizer.special_ids]
    assert found["tokens"] == len(ids)
    assert found["bytes"] == sum(len(d.encode()) for d in documents)
    assert found["text_bytes"] == len(" é  b".encode()) + 1 == tokenizer.byte_length(ids)
    assert found["bytes_per_token"] == pytest.approx(found["text_bytes"] / len(plain))
    assert found["chars_per_token"] == pytest.approx(6 / len(plain))
    assert found["bytes_per_token_with_markers"] == pytest.approx(found["bytes"] / len(ids))
