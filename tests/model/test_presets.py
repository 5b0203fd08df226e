"""The named sizes."""

import pytest

from vidya.model.presets import PRESETS, next_bigger


@pytest.mark.parametrize(
    ("name", "bigger"),
    [("nano", "starter"), ("starter", "25m"), ("10m", "25m"), ("25m", "100m"), ("100m", None)],
)
def test_what_comes_after_a_preset_is_bigger(name, bigger):
    assert next_bigger(name) == bigger


def test_starter_is_10m_by_the_fast_recipe():
    starter, plain = PRESETS["starter"], PRESETS["10m"]
    assert starter.model(1000, 0.1) == plain.model(1000, 0.1)
    assert (starter.merges, starter.recipe, plain.recipe) == (plain.merges, "fast", "plan")
    assert starter.peak_rate("fast") == plain.peak_rate("fast")
