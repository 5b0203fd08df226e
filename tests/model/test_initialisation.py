"""Fresh parameters: the loss that they begin with."""

import numpy as np
import pytest
from support.models import Documents

from vidya.model.config import ModelConfig
from vidya.model.initialisation import expected_first_loss
from vidya.model.presets import preset
from vidya.model.transformer import Model


@pytest.mark.parametrize(
    "size",
    [
        ModelConfig(64, 2, 2, 32, 320), ModelConfig(128, 4, 4, 64, 1259),
        ModelConfig(256, 3, 8, 64, 2259),
    ],
)  # fmt: skip
def test_the_first_loss_is_where_it_is_expected(size):
    made = Model(size, max_tokens=512)
    made.init(3)
    ids = np.random.default_rng(0).integers(0, size.vocab_size, 513).astype(np.int32)
    offsets = np.append(np.arange(0, 512, 64 if size.context == 64 else 32), 512).astype(np.int64)
    batch = Documents(ids[:-1].copy(), ids[1:].copy(), offsets)
    loss = made.loss_and_gradients(batch, dropout_seed=0)
    assert loss == pytest.approx(expected_first_loss(size), abs=0.6)
    assert expected_first_loss(preset("10m").model(2259, 0.1)) == pytest.approx(10.7, abs=0.3)
