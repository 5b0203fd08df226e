import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidya.errors import UserError
from vidya.text import held_out_split

texts = st.text(st.characters(codec="utf-8"))


def test_split_never_moves():
    # Written down: another hash would move documents of trained models between splits.
    held_out = [i for i in range(100) if held_out_split.is_held_out(f"document {i}", 0.05)]
    assert held_out == [17, 18, 20, 24, 40, 44, 54, 84, 92, 98]


@given(texts, st.floats(0, 0.99), st.floats(0, 0.99))
def test_split_grows_with_the_fraction(document, a, b):
    low, high = sorted((a, b))
    assert held_out_split.is_held_out(document, low) <= held_out_split.is_held_out(document, high)
    assert not held_out_split.is_held_out(document, 0)


def test_split_holds_about_the_fraction():
    documents = [f"document {i}" for i in range(20_000)]
    held_out = list(held_out_split.held_out_documents(documents, 0.1))
    assert 0.09 < len(held_out) / len(documents) < 0.11
    training = list(held_out_split.training_documents(documents, 0.1))
    assert sorted(held_out + training) == sorted(documents)
    assert not set(held_out) & set(training)


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 2.0, float("nan")])
def test_bad_fraction(fraction):
    with pytest.raises(UserError, match="fraction"):
        held_out_split.is_held_out("x", fraction)
