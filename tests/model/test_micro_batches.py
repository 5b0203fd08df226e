"""A batch cut into micro-batches: whole documents, each once, as many as fit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.models import Documents

from vidya.model.micro_batches import micro_batches


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.integers(9, 40))
def test_micro_batches_hold_every_document_once_and_fit(lengths, most):
    total = sum(lengths)
    ids = np.arange(total, dtype=np.int32)
    batch = Documents(ids, ids + 1, np.cumsum([0, *lengths]).astype(np.int64))
    parts = list(micro_batches(batch, most))
    if total:
        assert np.array_equal(np.concatenate([part.tokens for part in parts]), ids)
        assert np.array_equal(np.concatenate([part.targets for part in parts]), ids + 1)
    for part in parts:
        assert len(part.tokens) == len(part.targets) == part.offsets[-1] <= most
    kept = [length for part in parts for length in np.diff(part.offsets) if length]
    assert kept == [length for length in lengths if length]
    # first-fit never leaves two that would have fitted into one
    sizes = [len(part.tokens) for part in parts]
    assert len(sizes) <= max(1, 2 * -(-total // most))


def test_a_document_longer_than_a_micro_batch_is_refused():
    ids = np.zeros(20, np.int32)
    with pytest.raises(ValueError, match="longer than a micro-batch, 8 tokens"):
        list(micro_batches(Documents(ids, ids, np.array([0, 3, 20])), 8))
