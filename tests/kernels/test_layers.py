"""Embedding, RMSNorm, RoPE and GELU against the float64 reference and finite differences."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.reference import kernels as reference
from support.reference.check import (
    DTYPES,
    assert_close,
    assert_gradients,
    dtypes,
    head_dims,
    normal,
    seeds,
    sizes,
)

from vidya import kernels

rngs = seeds.map(np.random.default_rng)
few = settings(max_examples=10)


def pointers(*arrays):
    return [kernels.pointer(array) for array in arrays]


# ---- token embedding --------------------------------------------------------


@given(T=sizes, d=sizes, V=sizes, dtype=dtypes, rng=rngs)
def test_embedding(T, d, V, dtype, rng):
    wte, dy = normal(rng, (V, d), dtype), normal(rng, (T, d), dtype)
    tokens = rng.integers(0, V, T).astype(np.int32)
    assert np.array_equal(kernels.embedding(tokens, wte), wte[tokens])
    before = normal(rng, (V, d), dtype)
    total = before.copy()
    assert kernels.embedding_backward(dy, tokens, total) is total
    assert_close(total, reference.embedding_backward(dy, tokens, before))
    absent = np.setdiff1d(np.arange(V), tokens)
    assert np.array_equal(total[absent], before[absent])


@few
@given(T=sizes, d=sizes, V=sizes, rng=rngs)
def test_embedding_gradient(T, d, V, rng):
    wte, r = normal(rng, (V, d)), normal(rng, (T, d))
    tokens = rng.integers(0, V, T).astype(np.int32)
    gradient = kernels.embedding_backward(r, tokens, np.zeros_like(wte))
    assert_gradients(lambda w: np.sum(r * kernels.embedding(tokens, w)), [wte], [gradient], rng)


# ---- RMSNorm ----------------------------------------------------------------


@given(T=sizes, d=sizes, scale=st.sampled_from((1e-4, 1.0, 1e4)), dtype=dtypes, rng=rngs)
@example(T=1, d=1, scale=1e15, dtype=np.float32, rng=np.random.default_rng(0))
@example(T=130, d=1030, scale=1.0, dtype=np.float32, rng=np.random.default_rng(0))
def test_rmsnorm(T, d, scale, dtype, rng):
    x, gain = normal(rng, (T, d), dtype, scale), normal(rng, d, dtype)
    dy = normal(rng, (T, d), dtype)
    y, rstd = kernels.rmsnorm(x, gain)
    expected_y, expected_rstd = reference.rmsnorm(x, gain)
    assert_close(y, expected_y)
    assert_close(rstd, expected_rstd)
    dx, dgain = kernels.rmsnorm_backward(dy, x, rstd, gain)
    expected_dx, expected_dgain = reference.rmsnorm_backward(dy, x, gain)
    # dx is a difference of terms of this size, which cancel as d comes near 1
    terms = np.max(np.abs(dy * gain) * expected_rstd[:, None])
    assert_close(dx, expected_dx, floor=terms)
    assert_close(dgain, expected_dgain, floor=np.max(np.abs(dy * x) * expected_rstd[:, None]))


@given(T=sizes, d=sizes, dtype=dtypes, rng=rngs)
def test_rmsnorm_in_place_and_accumulation(T, d, dtype, rng):
    """The forms that the model uses through the C interface."""
    c, eps = kernels.library(dtype), kernels.RMSNORM_EPS
    x, gain, dy = normal(rng, (T, d), dtype), normal(rng, d, dtype), normal(rng, (T, d), dtype)
    y, rstd = kernels.rmsnorm(x, gain)
    dx, dgain = kernels.rmsnorm_backward(dy, x, rstd, gain)

    in_place, rstd_again = x.copy(), np.empty_like(rstd)
    c.vidya_rmsnorm_forward(*pointers(in_place, rstd_again, in_place, gain), T, d, eps)
    assert np.array_equal(in_place, y) and np.array_equal(rstd_again, rstd)
    alone = np.full_like(rstd, np.nan)
    c.vidya_rmsnorm_statistics(*pointers(alone, x), T, d, eps)
    assert np.array_equal(alone, rstd)

    over_dy, dgain_again = dy.copy(), np.full_like(dgain, np.nan)
    c.vidya_rmsnorm_backward(
        *pointers(over_dy, dgain_again, over_dy, x, rstd, gain), T, d, 0, 0
    )  # fmt: skip
    assert np.array_equal(over_dy, dx) and np.array_equal(dgain_again, dgain)

    for add_dx, add_dgain in ((1, 0), (0, 1), (1, 1)):
        dx_before, dgain_before = normal(rng, (T, d), dtype), normal(rng, d, dtype)
        dx_total, dgain_total = dx_before.copy(), dgain_before.copy()
        c.vidya_rmsnorm_backward(
            *pointers(dx_total, dgain_total, dy, x, rstd, gain), T, d, add_dx, add_dgain
        )  # fmt: skip
        assert_close(dx_total, reference.f64(dx) + add_dx * reference.f64(dx_before), floor=1.0)
        expected = reference.f64(dgain) + add_dgain * reference.f64(dgain_before)
        assert_close(dgain_total, expected, floor=1.0)


@few
@given(T=sizes, d=sizes.filter(lambda d: d > 1), rng=rngs)
def test_rmsnorm_gradients(T, d, rng):
    x, gain, r = normal(rng, (T, d)), normal(rng, d), normal(rng, (T, d))
    x += np.copysign(0.5, x)  # near 0 the norm bends too sharply for a difference
    gradients = kernels.rmsnorm_backward(r, x, kernels.rmsnorm(x, gain)[1], gain)
    assert_gradients(
        lambda x, gain: np.sum(r * kernels.rmsnorm(x, gain)[0]), [x, gain], gradients, rng
    )


def test_rmsnorm_of_zeros_is_zero_and_nan_stays_in_its_row():
    x, gain = np.zeros((4, 19), np.float32), np.ones(19, np.float32)
    y, rstd = kernels.rmsnorm(x, gain)
    assert not y.any()
    np.testing.assert_allclose(rstd, 1 / np.sqrt(1e-5), rtol=1e-6)
    x[2, 18] = np.nan
    assert np.array_equal(np.isnan(kernels.rmsnorm(x, gain)[0]).all(axis=1), np.arange(4) == 2)


# ---- rotary positions -------------------------------------------------------


@given(context=sizes, hd=head_dims, base=st.sampled_from((10_000.0, 500_000.0)), dtype=dtypes)
def test_rope_table(context, hd, base, dtype):
    tables = kernels.rope_table(context, hd, base=base, dtype=dtype)
    for table, expected in zip(tables, reference.rope_table(context, hd, base), strict=True):
        assert table.dtype == dtype
        assert_close(table, expected, floor=1.0)


@given(T=sizes, H=st.integers(1, 5), hd=head_dims, inverse=st.booleans(), dtype=dtypes, rng=rngs)
def test_rope(T, H, hd, inverse, dtype, rng):
    x, context = normal(rng, (T, H, hd), dtype), T + 2
    positions = rng.integers(0, context, T).astype(np.int32)
    cos, sin = kernels.rope_table(context, hd, dtype=dtype)
    y = kernels.rope(x, positions, cos, sin, inverse=inverse)
    assert_close(y, reference.rope(x, positions, *reference.rope_table(context, hd), inverse))
    assert_close(kernels.rope(y, positions, cos, sin, inverse=not inverse), reference.f64(x))
    in_place = x.copy()
    assert kernels.rope(in_place, positions, cos, sin, inverse=inverse, out=in_place) is in_place
    assert np.array_equal(in_place, y)


@given(T=sizes, H=st.integers(1, 4), hd=head_dims, dtype=dtypes, rng=rngs)
def test_rope_turns_queries_and_keys_and_leaves_values(T, H, hd, dtype, rng):
    """Rows longer than what is rotated: how the model turns a qkv array."""
    qkv = normal(rng, (T, 3 * H * hd), dtype)
    positions = np.arange(T, dtype=np.int32)
    cos, sin = kernels.rope_table(T, hd, dtype=dtype)
    turned = qkv.copy()
    kernels.library(dtype).vidya_rope(
        *pointers(turned), kernels.NULL, *pointers(positions, cos, sin), T, 3 * H * hd, 2 * H, hd, 0
    )
    heads = np.ascontiguousarray(qkv[:, : 2 * H * hd]).reshape(T, 2 * H, hd)
    expected = kernels.rope(heads, positions, cos, sin).reshape(T, -1)
    assert np.array_equal(turned[:, : 2 * H * hd], expected)
    assert np.array_equal(turned[:, 2 * H * hd :], qkv[:, 2 * H * hd :])


# ---- GELU -------------------------------------------------------------------


@given(n=sizes, scale=st.sampled_from((1e-3, 1.0, 4.0, 100.0)), dtype=dtypes, rng=rngs)
@example(n=40_001, scale=3.0, dtype=np.float32, rng=np.random.default_rng(0))
def test_gelu(n, scale, dtype, rng):
    x, dy = normal(rng, n, dtype, scale), normal(rng, n, dtype)
    assert_close(kernels.gelu(x), reference.gelu(x))
    assert_close(kernels.gelu_backward(dy, x), reference.gelu_backward(dy, x), floor=1.0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gelu_element_by_element(dtype):
    """Small results are as exact, for their size, as large ones: no cancellation.

    Below -5, 2u is more than 17, its rounding error counts that many times over in
    the exponential, and what is left is less than 1e-6: an absolute error will do.
    """
    x = np.linspace(-120, 120, 100_003).astype(dtype)
    limit = {np.float32: 1e-5, np.float64: 1e-12}[dtype]
    error = np.abs(kernels.gelu(x) - reference.gelu(x))
    assert np.all(error <= np.where(x > -5, limit * np.abs(reference.gelu(x)), limit * 1e-6))
    one = np.ones_like(x)
    error = np.abs(kernels.gelu_backward(one, x) - reference.gelu_backward(one, x))
    assert np.max(error) <= limit


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 7, 64])
def test_gelu_far_out(n, dtype):
    """The limits: the identity on the right, zero on the left, and never NaN of a number."""
    one = np.ones(n, dtype)
    largest = float(np.finfo(dtype).max)
    for size in (100.0, 1e4, 1e13, 1e30, largest):
        far = np.full(n, size, dtype)
        assert np.array_equal(kernels.gelu(far), far)
        assert np.all(np.abs(kernels.gelu(-far)) <= size * 1e-35)
        np.testing.assert_allclose(kernels.gelu_backward(one, far), 1, rtol=1e-6)
        np.testing.assert_allclose(kernels.gelu_backward(one, -far), 0, atol=1e-30)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 7, 64])
def test_gelu_keeps_what_is_no_number(n, dtype):
    x = np.zeros(n, dtype)
    for value in (np.nan, np.inf, -np.inf):
        x[n // 2] = value
        assert np.array_equal(np.isfinite(kernels.gelu(x)), np.isfinite(x))
    x[n // 2] = np.nan
    assert np.array_equal(np.isnan(kernels.gelu_backward(np.ones_like(x), x)), np.isnan(x))
    dy = x.copy()
    assert np.array_equal(np.isnan(kernels.gelu_backward(dy, np.ones_like(x))), np.isnan(dy))


@given(n=sizes, dtype=dtypes, rng=rngs)
def test_gelu_in_place(n, dtype, rng):
    x, dy = normal(rng, n, dtype), normal(rng, n, dtype)
    y, dx = kernels.gelu(x), kernels.gelu_backward(dy, x)
    in_place = x.copy()
    assert kernels.gelu(in_place, out=in_place) is in_place
    assert np.array_equal(in_place, y)
    # dx over dy and y over x at once, as the model's backward does
    dx_over_dy, y_over_x = dy.copy(), x.copy()
    kernels.library(dtype).vidya_gelu_backward(
        *pointers(dx_over_dy, y_over_x, dx_over_dy, y_over_x), n
    )
    assert np.array_equal(dx_over_dy, dx) and np.array_equal(y_over_x, y)


@few
@given(n=sizes, scale=st.sampled_from((1.0, 5.0)), rng=rngs)
def test_gelu_gradient(n, scale, rng):
    x, r = normal(rng, n, scale=scale), normal(rng, n)
    gradient = kernels.gelu_backward(r, x)
    assert_gradients(lambda x: np.sum(r * kernels.gelu(x)), [x], [gradient], rng)


def test_gelu_takes_any_shape():
    x = normal(np.random.default_rng(0), (2, 3, 5), np.float32)
    assert kernels.gelu(x).shape == (2, 3, 5)
    assert_close(kernels.gelu(x), reference.gelu(x))
    assert kernels.gelu(np.array(1.0)).shape == ()
