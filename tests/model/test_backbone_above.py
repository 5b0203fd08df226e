"""The blocks from one on: the same numbers as in a whole pass, and gradients of these alone."""

import numpy as np
import pytest
from support.models import draw_batch, draw_model

from vidya.model import objectives
from vidya.model.adam import Adam
from vidya.model.backbone import Above
from vidya.model.config import ModelConfig

pytestmark = pytest.mark.usefixtures("kernel_settings")
CONFIG = ModelConfig(16, 3, 2, 32, 50)


def cross_entropy(batch):
    targets = batch.targets[batch.targets >= 0]

    def objective(first, logits):
        weights = np.ones(len(logits), logits.dtype)
        some = targets[first : first + len(logits)]
        return objectives.weighted_logprob(objectives.log_softmax(logits), some, weights)

    return objective


@pytest.mark.parametrize("max_tokens", [256, 32])  # 32: in several passes
@pytest.mark.parametrize("layer", [1, 2, 3])
def test_the_upper_blocks_alone(layer, max_tokens):
    model = draw_model(CONFIG, np.float32, 1, max_tokens)
    batch = draw_batch(np.random.default_rng(2), 50, [20, 9, 30, 4], counted=0.6)
    above = model.entering(batch, layer)
    assert above.stream.shape == (63, 16)
    assert (model.logits(batch) == model.logits(batch, above)).all()
    whole = model.objective_and_gradients(batch, cross_entropy(batch))
    expected = model.flat_gradient.copy()
    first = model.first_parameter_of(layer) if layer < 3 else model.flat.size - 16
    model.flat_gradient[...] = 7
    part = model.objective_and_gradients(batch, cross_entropy(batch), above)
    assert part == whole and (model.flat_gradient[first:] == expected[first:]).all()
    assert (model.flat_gradient[:first] == 7).all()


def test_what_enters_the_first_block_is_the_embedding():
    model = draw_model(CONFIG, np.float32, 1, 64)
    batch = draw_batch(np.random.default_rng(2), 50, [20, 9])
    assert (model.logits(batch, model.entering(batch, 0)) == model.logits(batch)).all()
    assert model.first_parameter_of(0) == 0
    assert model.first_parameter_of(1) == 50 * 16 + 16 + 12 * 16 * 16 + 2 * 16
    assert isinstance(model.entering(batch, 1), Above)


def test_adam_over_the_upper_blocks_leaves_the_others():
    model = draw_model(CONFIG, np.float32, 1, 64)
    first = model.first_parameter_of(2)
    adam, before = Adam(model, first=first), model.flat.copy()
    model.gradient_pointers()
    model.flat_gradient[...] = 1
    norm = adam.gradient_norm()
    assert norm == pytest.approx((model.flat.size - first) ** 0.5)
    adam.update(1e-2, norm)
    assert (model.flat[:first] == before[:first]).all() and adam.m.size == model.flat.size - first
    assert (model.flat[first:] != before[first:]).all()
