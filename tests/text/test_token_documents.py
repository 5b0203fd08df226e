import numpy as np
import pytest

from vidya.errors import UserError
from vidya.text.token_cache import TokenCache, build
from vidya.text.token_documents import TokenDocuments, encode_each
from vidya.text.tokenizer_training import train_tokenizer

LINES = ["hello there", "<|user|> hi <|assistant|> yes", "ab"]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(LINES * 3, 10)


def documents_of(*lengths):
    return TokenDocuments.joined([np.arange(length, dtype=np.uint16) for length in lengths])


def test_documents_end_to_end():
    some = documents_of(3, 0, 2)
    assert some.tokens.tolist() == [0, 1, 2, 0, 1] and some.tokens.dtype == np.uint16
    assert some.offsets.tolist() == [0, 3, 3, 5] and some.offsets.dtype == np.int64
    assert some.documents == 3
    assert some.predictions_so_far.tolist() == [2, 2, 3] and some.predictions == 3
    assert [some.document(number).tolist() for number in range(3)] == [[0, 1, 2], [], [0, 1]]


def test_no_documents():
    none = TokenDocuments.joined([])
    assert (none.documents, len(none.tokens)) == (0, 0)
    assert none.tokens.dtype == np.uint16 and not none.predictions


def test_the_first_documents():
    some = documents_of(3, 4, 2)
    two = some.first(2)
    assert two.documents == 2 and two.tokens.tolist() == [0, 1, 2, 0, 1, 2, 3]
    assert np.shares_memory(two.tokens, some.tokens) and two.counted is None
    counted = TokenDocuments(some.tokens, some.offsets, some.tokens > 1).first(1)
    assert counted.counted is not None and counted.counted.tolist() == [False, False, True]


def test_encoded_one_by_one_as_all_together(tokenizer):
    each = [ids.tolist() for ids in encode_each(iter(LINES), tokenizer)]
    assert each == [tokenizer.encode_document(line) for line in LINES]


def test_a_cache_of_another_tokenizer_is_refused(tokenizer, tmp_path):
    build(tmp_path / "some.tokens", LINES, tokenizer, "hash")
    cache = TokenCache.open_of(tmp_path / "some.tokens", tokenizer, "delete it")
    assert isinstance(cache, TokenDocuments) and cache.documents == len(LINES)
    other = train_tokenizer(LINES * 3, 0)
    with pytest.raises(UserError, match=r"some\.tokens was made with another .*: delete it"):
        TokenCache.open_of(tmp_path / "some.tokens", other, "delete it")
