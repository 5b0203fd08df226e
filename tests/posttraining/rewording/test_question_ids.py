"""Ids of a question in one of its forms."""

import numpy as np
import pytest

from vidya.generation.chat_tokens import turn_ids
from vidya.posttraining.rewording.form_names import FORMS
from vidya.posttraining.rewording.forms import reworded
from vidya.posttraining.rewording.question_ids import reworded_ids
from vidya.text.tokenizer_training import train_tokenizer

QUESTION = "how are you going to thank the man?"


@pytest.fixture(scope="module")
def tokenizer():
    words = np.array("how are you going to thank the man a fine day".split())
    order = np.random.default_rng(0).integers(0, len(words), (60, 20))
    return train_tokenizer([" ".join(words[row]) for row in order], 30)


def test_without_token_forms_the_ids_are_those_of_chat(tokenizer):
    forms = set(FORMS) - {"token_dropout", "bpe_dropout"}
    one, two = np.random.default_rng(0), np.random.default_rng(0)
    for _ in range(50):
        text = reworded(QUESTION, two, forms)
        assert reworded_ids(tokenizer, QUESTION, one, forms) == turn_ids(tokenizer, text)


def test_bpe_dropout_changes_the_tokens_and_not_the_text(tokenizer):
    rng = np.random.default_rng(0)
    drawn = [reworded_ids(tokenizer, QUESTION, rng, {"bpe_dropout"}) for _ in range(60)]
    assert {tokenizer.decode(ids) for ids in drawn} == {f" {QUESTION} "}
    assert 0.3 < np.mean([ids == turn_ids(tokenizer, QUESTION) for ids in drawn]) < 0.9
    assert len({tuple(ids) for ids in drawn}) > 4


def test_token_dropout_leaves_small_words_out_and_no_other(tokenizer):
    rng = np.random.default_rng(0)
    texts = {
        tokenizer.decode(reworded_ids(tokenizer, QUESTION, rng, {"token_dropout"}))
        for _ in range(300)
    }
    assert len(texts) > 1
    small = {"are", "to", "the"}
    for text in texts:
        assert text.startswith(" ") and text.endswith(" ")
        kept = text.split()
        assert [word for word in QUESTION.split() if word not in small] == [
            word for word in kept if word not in small
        ]


def test_a_marker_becomes_no_marker(tokenizer):
    rng = np.random.default_rng(0)
    for _ in range(50):
        assert not tokenizer.special_ids & set(reworded_ids(tokenizer, "a <|user|> b c", rng))


@pytest.mark.parametrize("text", ["", "?", "a", "你好", "x" * 900])
def test_any_text_has_ids(tokenizer, text):
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert tokenizer.decode(reworded_ids(tokenizer, text, rng)).lower().strip(" ?!.") in (
            text.lower().strip(" ?!."),
        )


def test_the_same_state_gives_the_same_ids(tokenizer):
    one, two = (np.random.default_rng(5) for _ in range(2))
    for _ in range(30):
        assert reworded_ids(tokenizer, QUESTION, one) == reworded_ids(tokenizer, QUESTION, two)
