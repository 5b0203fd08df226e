"""Matrix products against the float64 reference and finite differences."""

import numpy as np
from hypothesis import example, given, settings
from support.reference import kernels as reference
from support.reference.check import (
    assert_close,
    assert_gradients,
    dtypes,
    normal,
    seeds,
    sizes,
)

from vidya import kernels

rngs = seeds.map(np.random.default_rng)
few = settings(max_examples=10)


@given(m=sizes, n=sizes, k=sizes, dtype=dtypes, rng=rngs)
@example(m=1, n=1, k=1, dtype=np.float32, rng=np.random.default_rng(0))
@example(m=1, n=4259, k=257, dtype=np.float32, rng=np.random.default_rng(0))
@example(m=513, n=1030, k=33, dtype=np.float32, rng=np.random.default_rng(0))
@example(m=2100, n=1100, k=5, dtype=np.float64, rng=np.random.default_rng(0))
def test_matmul(m, n, k, dtype, rng):
    x, w, dy = normal(rng, (m, k), dtype), normal(rng, (n, k), dtype), normal(rng, (m, n), dtype)
    assert_close(kernels.matmul(x, w), reference.matmul(x, w))
    assert_close(kernels.matmul_backward_input(dy, w), reference.matmul_backward_input(dy, w))
    assert_close(kernels.matmul_backward_weight(dy, x), reference.matmul_backward_weight(dy, x))


@given(m=sizes, n=sizes, k=sizes, dtype=dtypes, rng=rngs)
@example(m=1, n=1000, k=384, dtype=np.float32, rng=np.random.default_rng(0))
@example(m=257, n=1, k=384, dtype=np.float64, rng=np.random.default_rng(0))
@example(m=64, n=384, k=1, dtype=np.float32, rng=np.random.default_rng(0))
def test_matmul_accumulates_and_overwrites(m, n, k, dtype, rng):
    x, w, dy = normal(rng, (m, k), dtype), normal(rng, (n, k), dtype), normal(rng, (m, n), dtype)
    for function, a, b in (
        (kernels.matmul, x, w),
        (kernels.matmul_backward_input, dy, w),
        (kernels.matmul_backward_weight, dy, x),
    ):
        plain = function(a, b)
        before = normal(rng, plain.shape, dtype)
        total = before.copy()
        assert function(a, b, out=total, accumulate=True) is total
        assert_close(total, reference.f64(before) + reference.f64(plain), floor=1.0)
        # what stood in the output must not matter, not even NaN
        assert np.array_equal(function(a, b, out=np.full_like(plain, np.nan)), plain)


@few
@given(m=sizes, n=sizes, k=sizes, rng=rngs)
def test_matmul_gradients(m, n, k, rng):
    x, w, r = normal(rng, (m, k)), normal(rng, (n, k)), normal(rng, (m, n))
    gradients = kernels.matmul_backward_input(r, w), kernels.matmul_backward_weight(r, x)
    assert_gradients(lambda x, w: np.sum(r * kernels.matmul(x, w)), [x, w], gradients, rng)


def test_matmul_keeps_nan_in_its_row():
    x, w = np.ones((5, 7), np.float32), np.ones((9, 7), np.float32)
    x[3, 2] = np.nan
    assert np.array_equal(np.isnan(kernels.matmul(x, w)).all(axis=1), np.arange(5) == 3)
