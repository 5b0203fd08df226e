"""Copies of weights: a model that stays, and a state that can be returned to."""

import numpy as np
import pytest
from support.models import draw_batch, draw_model

from vidya.model.config import ModelConfig
from vidya.posttraining.kept_weights import KeptWeights, frozen_copy

CONFIG = ModelConfig(16, 1, 2, 8, 30)


@pytest.mark.parametrize(("dtype", "precision"), [(np.float32, "bf16"), (np.float64, "fp32")])
def test_a_frozen_copy_says_the_same_and_stays(dtype, precision):
    model = draw_model(CONFIG, dtype, 3, 16, precision)
    batch = draw_batch(np.random.default_rng(0), 30, [8, 3])
    before = model.losses(batch).copy()
    copy = frozen_copy(model)
    model.flat *= 2
    assert np.array_equal(copy.losses(batch), before)
    assert not np.array_equal(model.losses(batch), before)


def test_what_was_kept_last_comes_back():
    first, second = np.arange(3.0), np.ones(2, np.float32)
    kept = KeptWeights(first, second)
    with pytest.raises(ValueError, match="not known any more"):
        kept.take_back()
    for step in (4, 9):
        first[:] = second[:] = step
        kept.keep(step)
    for _ in range(2):  # as often as one likes
        first[:] = second[:] = np.nan
        assert kept.take_back() == kept.step == 9
        assert (first == 9).all() and (second == 9).all()
    kept.forget()
    with pytest.raises(ValueError, match="not known any more"):
        kept.take_back()
