"""Distinct n-grams and repetition, by hand and against counting again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidya.measuring.diversity import distinct, repetition, words

texts = st.lists(st.lists(st.sampled_from("abc"), max_size=12), max_size=6)


def test_words():
    assert words("Hi, I'm  Zoë!\n漢字 2nd…") == [
        "hi", ",", "i'm", "zoë", "!", "漢", "字", "2nd", "…",
    ]  # fmt: skip
    assert words(" \n") == []


def test_text_without_spaces_repeats_too():
    assert repetition([words("你好吗你好吗")], 2) == 2 / 5
    assert distinct([words("สวัสดี"), words("สวัสดี")], 1) == 3 / 8


def test_distinct_by_hand():
    said = [words("the cat sat on the mat"), words("the cat")]
    assert distinct(said, 1) == 5 / 8
    assert distinct(said, 2) == 5 / 8  # the cat, cat sat, sat on, on the, the mat
    assert distinct(said, 3) == 4 / 8
    assert distinct([], 1) is distinct([[], []], 2) is None
    assert distinct([["a"]], 2) == 0


def test_repetition_by_hand():
    assert repetition([list("abab")], 2) == pytest.approx(1 / 3)  # ab ba ab
    assert repetition([list("aaaaa"), list("abcde")], 4) == pytest.approx((1 / 2 + 0) / 2)
    assert repetition([list("aaaaa"), list("abc"), []], 4) == 1 / 2  # too short ones do not count
    assert repetition([list("abc")], 4) is None


@given(texts, st.integers(1, 4))
def test_against_counting_again(said, n):
    joined = [["".join(t[i : i + n]) for i in range(len(t)) if i + n <= len(t)] for t in said]
    total = sum(len(t) for t in said)
    seen = set()
    for grams in joined:
        seen.update(grams)
    assert distinct(said, n) == (len(seen) / total if total else None)
    shares = []
    for grams in filter(None, joined):
        repeats = sum(gram in grams[:i] for i, gram in enumerate(grams))
        shares.append(repeats / len(grams))
    expected = pytest.approx(sum(shares) / len(shares)) if shares else None
    assert repetition(said, n) == expected
