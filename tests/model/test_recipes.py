"""The named recipes."""

import math

import pytest

from vidya.model.presets import PRESETS
from vidya.model.recipes import RECIPES


def test_the_plan_is_that_of_the_road():
    plan = RECIPES["plan"]
    assert (plan.dropout, plan.beta1, plan.beta2, plan.decay) == (0.1, 0.9, 0.999, "cosine")
    assert plan.embedding_lr_scale == 1.0
    stds = plan.initial_stds(256, 12)
    assert (stds.embedding, stds.hidden) == (0.08, 0.08)
    assert stds.residual == 0.08 / math.sqrt(24)
    assert plan.initial_stds(384, 12) == stds, "at every width"


def test_fresh_hidden_matrices_of_the_fast_recipe_shrink_with_width_and_depth():
    fast = RECIPES["fast"]
    small, wide, deep = (fast.initial_stds(*shape) for shape in ((256, 12), (1024, 12), (256, 48)))
    assert small.hidden == pytest.approx(0.04)
    assert wide.hidden == pytest.approx(small.hidden / 2)
    assert deep.hidden == small.hidden
    assert deep.residual == pytest.approx(small.residual / 2)
    assert small.embedding == wide.embedding == deep.embedding


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_names_a_recipe_and_has_a_rate_for_each(name):
    size = PRESETS[name]
    assert size.recipe in RECIPES
    assert all(0 < size.peak_rate(recipe) < 0.1 for recipe in RECIPES)
    assert size.peak_rate("plan") == size.peak_lr
