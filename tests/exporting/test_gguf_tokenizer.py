"""A tokenizer as llama.cpp has it: the vocabulary, and lines that come out with other ids."""

import pytest
from support.small_tokenizer import DOCUMENTS, a_tokenizer

from vidya.errors import UserError
from vidya.exporting.gguf_tokenizer import OtherIds, as_llama_cpp_cuts, other_ids, vocabulary
from vidya.text.tokenizer_training import train_tokenizer


def test_tokens_stand_in_the_order_of_their_ids():
    tokenizer = a_tokenizer()

    found = vocabulary(tokenizer)

    assert found.tokens[:3] == ["<|bos|>", "<|user|>", "<|assistant|>"]
    assert [number for number, special in enumerate(found.special) if special] == [0, 1, 2]
    assert len(found.tokens) == len(found.special) == tokenizer.vocab_size
    assert len(found.merges) == tokenizer.merges
    for merge, token in zip(found.merges, found.tokens[-tokenizer.merges :], strict=True):
        assert merge.replace(" ", "") == token


def test_lines_with_other_ids_are_counted():
    corpus, lines = ["it is 1 o'clock", "it is 12"] * 50, ["it is", "it is 1 o'clock", "é ↵"]
    # " 1" is one token of the old one, which llama.cpp cuts in two
    old, new = (train_tokenizer(corpus, 100, split_digits=split) for split in (False, True))

    assert other_ids(old, iter(lines)) == OtherIds(3, 1)
    assert other_ids(new, iter(lines)) == OtherIds(3, 0)


def test_markers_are_markers_and_merges_cross_words():
    tokenizer = a_tokenizer()
    line = DOCUMENTS[0].rpartition(" ")[0]

    ids = as_llama_cpp_cuts(tokenizer).encode(line, add_special_tokens=False).ids

    assert ids == tokenizer.encode_marked(line)
    assert any(" " in tokenizer.decode([i]).strip() for i in ids)


@pytest.mark.parametrize(
    ("number", "pieces"),
    [("7", ["7"]), ("1234", ["1", "234"]), ("123456", ["123", "456"]), ("x12345y", "x|12|345|y")],
)
def test_digits_are_cut_in_threes_from_the_right(number, pieces):
    cut = as_llama_cpp_cuts(a_tokenizer()).pre_tokenizer.pre_tokenize_str(number)

    assert [piece for piece, _ in cut] == (pieces.split("|") if isinstance(pieces, str) else pieces)


def test_one_in_a_hundred_is_the_most():
    OtherIds(0, 0).require_few()
    OtherIds(200, 2).require_few()
    with pytest.raises(UserError, match=r"3 \(1\.5%\) of 200 lines .* --allow-other-ids"):
        OtherIds(200, 3).require_few()


def test_what_was_compared_is_told():
    assert "not beside the model" in OtherIds(0, 0).line()
    assert "10,000 lines, all ids equal" in OtherIds(10_000, 0).line()
    assert "10,000 lines, other ids in 25 (0.2%)" in OtherIds(10_000, 25).line()
