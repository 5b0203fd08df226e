"""BPE-dropout: the same text in other tokens."""

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.small_tokenizer import DOCUMENTS, MERGES

from vidya.text.bpe_dropout import DroppingEncoder
from vidya.text.tokenizer import Tokenizer
from vidya.text.tokenizer_training import train_tokenizer


@pytest.fixture(scope="module", params=[True, False], ids=["digits cut off", "as before"])
def tokenizer(request):
    return train_tokenizer(DOCUMENTS, MERGES, split_digits=request.param)


TEXTS = [
    "",
    " ",
    "a",
    " how are you? ",
    " thank you very much",
    "<|user|> is text here",
    "Größe 你好 🙂 ’tis",
    "two\nlines\n\n",
    "how are you " * 100,  # cut into pieces of 400 characters in older tokenizers
    "at 7 or 1234, 12345678",
    "x" * 1000,
    *DOCUMENTS[:20],
]


@pytest.mark.parametrize("text", TEXTS)
def test_without_dropout_the_ids_are_those_of_the_tokenizer(tokenizer, text):
    encoder = DroppingEncoder.of(tokenizer)
    assert encoder.encode_text(text, 0, np.random.default_rng(0)) == tokenizer.encode_text(text)


@given(text=st.text(st.sampled_from("howareyuI mfinthkcs.?é\n你1234"), max_size=900))
def test_without_dropout_any_text_has_the_ids_of_the_tokenizer(tokenizer, text):
    encoder = DroppingEncoder.of(tokenizer)
    assert encoder.encode_text(text, 0, np.random.default_rng(0)) == tokenizer.encode_text(text)


@pytest.mark.parametrize("text", TEXTS)
def test_with_dropout_the_text_stays(tokenizer, text):
    encoder = DroppingEncoder.of(tokenizer)
    plain = tokenizer.decode(tokenizer.encode_text(text))
    for seed in range(5):
        ids = encoder.encode_text(text, 0.3, np.random.default_rng(seed))
        assert tokenizer.decode(ids) == plain


def test_with_all_merges_skipped_the_bytes_are_left(tokenizer):
    text = " how are you? "
    ids = DroppingEncoder.of(tokenizer).encode_text(text, 1.0, np.random.default_rng(0))
    assert [tokenizer.decode([i]) for i in ids] == list(text)


def test_dropout_makes_more_tokens_and_more_of_it_yet_more(tokenizer):
    encoder, rng = DroppingEncoder.of(tokenizer), np.random.default_rng(0)
    text = " how are you thank you very much "
    lengths = [
        np.mean([len(encoder.encode_text(text, p, rng)) for _ in range(40)]) for p in (0, 0.1, 0.5)
    ]
    assert lengths[0] < lengths[1] < lengths[2]


def test_the_same_state_of_the_generator_gives_the_same_tokens(tokenizer):
    encoder = DroppingEncoder.of(tokenizer)
    first, second = (
        [encoder.encode_text(" how are you ", 0.3, rng) for _ in range(20)]
        for rng in (np.random.default_rng(3), np.random.default_rng(3))
    )
    assert first == second
    assert len({tuple(ids) for ids in first}) > 3


def test_a_tokenizer_has_one_encoder_and_can_be_let_go(tokenizer):
    assert DroppingEncoder.of(tokenizer) is DroppingEncoder.of(tokenizer)
    other = Tokenizer(tokenizer.json_text)
    seen = weakref.ref(DroppingEncoder.of(other))
    assert seen() is not DroppingEncoder.of(tokenizer)
    del other
    gc.collect()
    assert seen() is None


def test_half_a_surrogate_pair_is_refused_as_the_tokenizer_refuses_it(tokenizer):
    with pytest.raises(Exception, match="half a surrogate pair"):
        DroppingEncoder.of(tokenizer).encode_text("\ud800", 0.1, np.random.default_rng(0))
