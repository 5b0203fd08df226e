"""What sampling asks of logits, against plain NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vidya import kernels


def draw(shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (5, 4259)])
def test_log_sum_exp(isa, dtype, shape):
    x = draw(shape, dtype=dtype) * 10
    wide = x.astype(np.float64)
    expected = np.log(np.exp(wide - wide.max(1, keepdims=True)).sum(1)) + wide.max(1)
    tolerance = 2e-6 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(kernels.log_sum_exp(x), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("at", [0, 11, 36])
def test_log_sum_exp_is_not_finite_where_a_row_is_not(bad, at):
    x = draw((3, 37))
    x[1, at] = bad
    assert np.isfinite(kernels.log_sum_exp(x)).tolist() == [True, False, True]


def test_log_sum_exp_of_impossible_ids():
    x = np.zeros((2, 37), np.float32)
    x[0, 5] = x[1] = -np.inf
    first, second = kernels.log_sum_exp(x)
    assert first == pytest.approx(np.log(36), abs=1e-6) and not np.isfinite(second)


values = st.floats(-5, 5, width=32) | st.sampled_from([0.0, 1.0, -np.inf, np.inf, np.nan])


@given(arrays(np.float32, st.integers(1, 80), elements=values), st.data())
def test_top_k(x, data):
    k = data.draw(st.integers(1, len(x)))
    ranked = sorted(range(len(x)), key=lambda i: (np.isnan(x[i]), -x[i], i))
    if np.isnan(x).any():  # sorted by a key that holds NaN is no order
        ranked = sorted(range(len(x)), key=lambda i: (1, 0, i) if np.isnan(x[i]) else (0, -x[i], i))
    for dtype in (np.float32, np.float64):
        assert kernels.top_k(x.astype(dtype), k).tolist() == sorted(ranked[:k])


def test_top_k_of_many():
    x = draw((4259,))
    expected = np.sort(np.argsort(-x, kind="stable")[:40])
    np.testing.assert_array_equal(kernels.top_k(x, 40), expected)


@pytest.mark.parametrize("k", [0, 4])
def test_more_than_there_are_is_refused(k):
    with pytest.raises(ValueError):
        kernels.top_k(np.zeros(3, np.float32), k)
