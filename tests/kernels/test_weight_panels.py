"""Weights in panels, against plain NumPy."""

import numpy as np
import pytest

from vidya import kernels
from vidya.kernels import CompressedWeights

SHAPES = [(1, 1), (3, 5), (16, 384), (17, 385), (64, 1536), (100, 770), (700, 33)]


def draw(shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def int8_of(w):
    """Row by row, the documented way."""
    scales = np.abs(w).max(axis=1, keepdims=True).astype(np.float32) / np.float32(127)
    once = np.divide(np.float32(1), scales, where=scales > 0, out=np.zeros_like(scales))
    return np.rint(w * once).astype(np.float32) * scales


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_fp32_weights_are_the_same_numbers(isa, shape, dtype):
    w = draw(shape, dtype=dtype)
    decoded = CompressedWeights(w, "fp32").decoded()
    assert decoded.dtype == dtype
    np.testing.assert_array_equal(decoded, w)


@pytest.mark.parametrize("shape", SHAPES)
def test_bf16_weights_are_the_nearest(isa, shape):
    w = draw(shape)
    expected = kernels.from_bf16(kernels.to_bf16(w))
    np.testing.assert_array_equal(CompressedWeights(w, "bf16").decoded(), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_int8_weights_are_multiples_of_a_scale_a_row(isa, shape):
    w = draw(shape) * np.exp(draw((shape[0], 1), seed=1))
    decoded = CompressedWeights(w, "int8").decoded()
    step = np.abs(w).max(axis=1, keepdims=True) / 127
    np.testing.assert_allclose(decoded, int8_of(w), rtol=1e-6)
    assert (np.abs(decoded - w) <= step * 0.5001).all()


@pytest.mark.parametrize("kind", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("T", [1, 5, 13, 100])
def test_products_are_those_of_the_decoded_weights(isa, kind, T):
    w, x = draw((130, 770)), draw((T, 770), seed=2)
    weights = CompressedWeights(w, kind)
    expected = x.astype(np.float64) @ weights.decoded().astype(np.float64).T
    np.testing.assert_allclose(weights.linear(x), expected, atol=2e-4)


@pytest.mark.parametrize("kind", ["fp32", "bf16", "int8"])
def test_more_weights_than_are_expanded_at_one_time(kind):
    """1,536 x 1,536 numbers are; these are more, in columns and in steps."""
    for n, k in ((6200, 400), (500, 6000)):
        w, x = draw((n, k)), draw((20, k), seed=2)
        weights = CompressedWeights(w, kind)
        near = {"fp32": w, "int8": int8_of(w), "bf16": kernels.from_bf16(kernels.to_bf16(w))}[kind]
        np.testing.assert_allclose(weights.linear(x), x @ near.T, atol=5e-3)


@pytest.mark.parametrize("kind", ["fp32", "bf16", "int8"])
def test_other_weights_can_take_the_same_place(kind):
    weights = CompressedWeights(draw((50, 70)), kind)
    other = draw((50, 70), seed=1)
    weights.fill(other)
    np.testing.assert_array_equal(weights.decoded(), CompressedWeights(other, kind).decoded())
    with pytest.raises(ValueError):
        weights.fill(draw((51, 70)))


def test_rows_of_zeros_stay_zeros_and_what_is_not_finite_shows():
    w = draw((5, 40))
    w[1] = 0
    w[2, 7] = np.nan
    w[3, 0] = -np.inf
    y = CompressedWeights(w, "int8").linear(np.ones((2, 40), np.float32))
    assert (y[:, 1] == 0).all() and np.isnan(y[:, 2:4]).all() and np.isfinite(y[:, [0, 4]]).all()


def test_weights_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="fp32, bf16 or int8"):
        CompressedWeights(draw((3, 3)), "int4")
    with pytest.raises(TypeError):
        CompressedWeights(draw((3, 3), dtype=np.float64), "int8")
    with pytest.raises(ValueError):
        CompressedWeights(draw((3, 3)), "int8").linear(draw((2, 4)))
