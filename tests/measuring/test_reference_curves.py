"""The curves that ship with vidya."""

import itertools

import pytest

from vidya.measuring.reference_curves import ReferenceCurve, reference_curve, reference_curves
from vidya.model.presets import PRESETS
from vidya.model.recipes import RECIPES


def test_every_curve_is_of_a_preset_and_a_recipe_and_falls():
    curves = reference_curves()
    assert curves and len({(one.preset, one.recipe) for one in curves}) == len(curves)
    for one in curves:
        assert one.preset in PRESETS and one.recipe in RECIPES and one.text
        tokens, bits = zip(*one.points, strict=True)
        assert all(a < b for a, b in itertools.pairwise(tokens)) and tokens[0] == 0
        assert bits[0] > 4 and bits[-1] < 3 and min(bits) > 0.5


def test_a_curve_is_followed_and_ends_where_it_was_measured():
    curve = ReferenceCurve("10m", "plan", "chitchat", ((0, 4.0), (99, 3.0), (9999, 2.0)))
    assert [curve.bits_at(tokens) for tokens in (0, 99, 9999)] == [4.0, 3.0, 2.0]
    assert curve.bits_at(9) == pytest.approx(3.5) and curve.bits_at(999) == pytest.approx(2.5)
    assert curve.bits_at(10_000) is None and curve.bits_at(-1) is None
    assert curve.name == "10m on chitchat"


def test_where_nothing_was_measured_there_is_none():
    assert reference_curve("10m", "plan").name == "10m on chitchat"
    assert reference_curve("100m", "plan") is None and reference_curve(None, {}) is None
