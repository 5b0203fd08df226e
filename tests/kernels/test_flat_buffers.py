"""Sum, norm and Adam over flat buffers, against the float64 reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.reference import kernels as reference
from support.reference.check import (
    DTYPES,
    EDGES,
    assert_close,
    dtypes,
    normal,
    seeds,
    sizes,
)

from vidya import kernels

rngs = seeds.map(np.random.default_rng)


flat_sizes = st.one_of(sizes, st.sampled_from((8191, 8192, 8193, 16385, 100_001)))


@given(n=flat_sizes, scale=st.sampled_from((1e-30, 1.0, 1e30)), dtype=dtypes, rng=rngs)
def test_sum_and_norm(n, scale, dtype, rng):
    """Added in double, whatever comes in; squares of 1e30 do not overflow in float32."""
    x = normal(rng, n, dtype, scale)
    exact = reference.f64(x)
    assert kernels.norm(x) == pytest.approx(np.linalg.norm(exact), rel=1e-12)
    assert abs(kernels.sum(x) - np.sum(exact)) <= 1e-12 * np.sum(np.abs(exact))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", EDGES)
def test_sum_and_norm_show_what_is_no_number(n, dtype):
    for value in (np.nan, np.inf):
        x = np.ones(n, dtype)
        x[n // 2] = value
        np.testing.assert_equal(kernels.norm(x), value)
        np.testing.assert_equal(kernels.sum(x), value)


@given(
    n=flat_sizes,
    step=st.sampled_from((1, 2, 10, 1000, 10**7)),
    grad_scale=st.sampled_from((1.0, 1e-3)),
    dtype=dtypes,
    rng=rngs,
)
def test_adam(n, step, grad_scale, dtype, rng):
    zeros, m, grad = np.zeros(n, dtype), normal(rng, n, dtype), normal(rng, n, dtype)
    v = normal(rng, n, dtype) ** 2
    options = {"lr": 1e-3, "step": step, "grad_scale": grad_scale}
    # A parameter from zero shows the update itself, and moments from zero the weight
    # of the gradient; from elsewhere both would drown in what was there.
    for start in ((zeros, m, v), (zeros, zeros, zeros), (m, m, v)):
        expected = reference.adam(*start, grad, **options)
        updated = tuple(array.copy() for array in start)
        assert kernels.adam(*updated, grad, **options) is None
        for array, wanted in zip(updated, expected, strict=True):
            assert_close(array, wanted)


@given(n=flat_sizes, dtype=dtypes, rng=rngs)
def test_adam_over_many_steps(n, dtype, rng):
    ours = tuple(np.zeros(n, dtype) for _ in range(3))
    wanted = tuple(np.zeros(n) for _ in range(3))
    options = {"lr": 0.01, "beta1": 0.8, "beta2": 0.95, "eps": 1e-6}
    for step in range(1, 6):
        grad = normal(rng, n, dtype)
        kernels.adam(*ours, grad, step=step, **options)
        wanted = reference.adam(*wanted, grad, step=step, **options)
    for array, expected in zip(ours, wanted, strict=True):
        assert_close(array, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_adam_of_a_zero_or_tiny_gradient_stays_finite(dtype):
    for size in (0.0, 1e-20, 1e-38):
        param, m, v = np.ones(9, dtype), np.zeros(9, dtype), np.zeros(9, dtype)
        kernels.adam(param, m, v, np.full(9, size, dtype), lr=1e-3, step=1)
        assert np.isfinite(param).all()
        np.testing.assert_allclose(param, 1, atol=1e-6)


def test_adam_shows_nan_where_it_is():
    param, m, v, grad = (np.zeros(33, np.float32) for _ in range(4))
    grad[20] = np.nan
    kernels.adam(param, m, v, grad, lr=1e-3, step=1)
    assert np.array_equal(np.isnan(param), np.arange(33) == 20)
