"""A vocabulary in the tokens of another."""

from support.small_tokenizer import without_normaliser

from vidya.text.tokenizer_training import train_tokenizer
from vidya.text.vocabulary_match import spell


def test_every_token_is_spelled_by_tokens_of_the_same_bytes():
    texts = ["naïve café 日本語 🙂🙂 the cat the cat"] * 9
    old, new = train_tokenizer(texts, 3), train_tokenizer(texts, 40)
    spelling = spell(old, new)
    assert len(spelling.pieces) == new.vocab_size
    for token, pieces in enumerate(spelling.pieces):
        assert old.decode_bytes(pieces) == new.decode_bytes([token])
        assert token not in new.special_ids or pieces == [token]
    assert spelling.carried == 259 + 3
    assert spelling.composed == new.vocab_size - 262 > 0
    assert spelling.left_behind == 0
    assert spell(new, new).composed == 0


def test_a_tokenizer_without_a_normaliser_is_spelled_by_one_with_it_and_the_other_way():
    texts = ["it\u2019s \u00e9 it\u2019s \ufeff\ufeff"] * 9
    new = train_tokenizer(texts, 8)
    old = without_normaliser(new)
    for spelling in (spell(old, new), spell(new, old)):
        assert spelling.composed == spelling.left_behind == 0
    more = without_normaliser(train_tokenizer(texts, 12))
    for token, pieces in enumerate(spell(old, more).pieces):
        assert old.decode_bytes(pieces) == more.decode_bytes([token])
