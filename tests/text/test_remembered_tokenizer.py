"""Tokenizers that are found again in the user's cache folder."""

import pytest
from support.small_tokenizer import DOCUMENTS

from vidya.system import user_cache
from vidya.text import remembered_tokenizer as module
from vidya.text.remembered_tokenizer import remembered_tokenizer
from vidya.text.tokenizer_training import train_tokenizer


@pytest.fixture
def found():
    """Asks for a tokenizer; its bytes, whether it was trained, and what was said."""

    def ask(corpus_hash="c", merges=10, split_digits=True):
        trained, said = [], []

        def train():
            trained.append(True)
            return train_tokenizer(DOCUMENTS[:20], merges, split_digits=split_digits)

        tokenizer = remembered_tokenizer(
            corpus_hash, merges, train, said.append, split_digits=split_digits
        )
        return tokenizer.json_text, bool(trained), said

    return ask


def test_the_same_bytes_without_training(found):
    first, trained, said = found()
    assert trained and said == []
    assert found() == (
        first, False, ["tokenizer with 10 merges: kept from an earlier run on the same text"]
    )  # fmt: skip
    assert found(corpus_hash="d")[1] and found(merges=9)[1]


def test_one_of_the_other_setting_is_not_taken(found):
    first = found()[0]
    other, trained, _ = found(split_digits=False)
    assert trained and other != first
    assert found()[:2] == (first, False) and found(split_digits=False)[:2] == (other, False)


@pytest.mark.parametrize("name", ["RECIPE", "TRAINING_BYTES"])
def test_another_way_of_training_is_another_tokenizer(found, monkeypatch, name):
    found()
    monkeypatch.setattr(module, name, 77)
    assert found()[1]


def test_another_library_may_learn_otherwise(found, monkeypatch):
    found()
    monkeypatch.setattr(module, "version", lambda _: "9.9")
    assert found()[1]


def test_what_is_no_tokenizer_is_trained(found, monkeypatch):
    first = found()[0]
    monkeypatch.setattr(user_cache, "recall", lambda kind, key: b"{}")
    assert found()[:2] == (first, True)
