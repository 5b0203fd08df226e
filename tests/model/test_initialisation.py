"""Fresh parameters: the loss that they begin with."""

import numpy as np
import pytest
from support.models import Documents

from vidya.model.config import ModelConfig
from vidya.model.initialisation import expected_first_loss
from vidya.model.presets import preset
from vidya.model.recipes import RECIPES, InitialStds
from vidya.model.transformer import Model


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(
    "size",
    [
        ModelConfig(64, 2, 2, 32, 320), ModelConfig(128, 4, 4, 64, 1259),
        ModelConfig(256, 3, 8, 64, 2259),
    ],
)  # fmt: skip
def test_the_first_loss_is_where_it_is_expected(size, recipe):
    stds = RECIPES[recipe].initial_stds(size.n_embd, size.n_layer)
    made = Model(size, max_tokens=512)
    made.init(3, stds)
    ids = np.random.default_rng(0).integers(0, size.vocab_size, 513).astype(np.int32)
    offsets = np.append(np.arange(0, 512, 64 if size.context == 64 else 32), 512).astype(np.int64)
    batch = Documents(ids[:-1].copy(), ids[1:].copy(), offsets)
    loss = made.loss_and_gradients(batch, dropout_seed=0)
    assert loss == pytest.approx(expected_first_loss(size, stds), abs=0.6)


@pytest.mark.parametrize(("recipe", "expected"), [("plan", 10.7), ("fast", 7.8)])
def test_the_first_loss_of_10m_is_that_which_was_measured(recipe, expected):
    size = preset("10m").model(2259, 0.1)
    stds = RECIPES[recipe].initial_stds(size.n_embd, size.n_layer)
    assert expected_first_loss(size, stds) == pytest.approx(expected, abs=0.3)


def test_each_matrix_is_drawn_with_its_own_standard_deviation():
    size = ModelConfig(128, 2, 4, 32, 1000)
    made = Model(size)
    made.init(5, InitialStds(embedding=0.5, hidden=0.25, residual=0.125))
    for name, values in made.parameters.items():
        if name.endswith("norm"):
            assert (values == 1).all()
            continue
        role = name.rsplit(".", 1)[-1]
        wanted = {"wte": 0.5, "attn_out": 0.125, "ffn_down": 0.125}.get(role, 0.25)
        assert values.std() == pytest.approx(wanted, rel=0.02), name


def test_without_standard_deviations_a_model_is_drawn_as_the_plan_says():
    size = ModelConfig(64, 2, 2, 32, 300)
    default, plan = Model(size), Model(size)
    default.init(1)
    plan.init(1, InitialStds(0.08, 0.08, 0.08 / 2))
    assert (default.flat == plan.flat).all()
