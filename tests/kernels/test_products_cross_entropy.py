"""Final projection + cross-entropy against the reference and finite differences."""

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
    normal,
    relative_error,
    seeds,
    sizes,
)

from vidya import kernels

rngs = seeds.map(np.random.default_rng)
chunks = st.sampled_from((1, 7, 64, 256, 1000))


def draw(rng, T, d, V, dtype, scale=1.0):
    """x, w whose logits are about `scale`, and targets, a few of them not counted."""
    x, w = normal(rng, (T, d), dtype, scale / np.sqrt(d)), normal(rng, (V, d), dtype)
    targets = rng.integers(0, V, T).astype(np.int32)
    targets[rng.random(T) < 0.2] = rng.choice((-1, -7, -(2**31)))
    return x, w, targets


def check(x, w, targets, chunk, scale, factor=1.0):
    """Both kernels against the reference; errors relative to the terms that cancel."""
    largest = max(1.0, np.max(np.abs(reference.matmul(x, w))))
    losses, dx, dw = reference.linear_cross_entropy_backward(x, w, targets, scale)
    forward = kernels.linear_cross_entropy(x, w, targets, chunk=chunk)
    assert_close(forward, losses, floor=largest)
    ours = kernels.linear_cross_entropy_backward(x, w, targets, scale=scale, chunk=chunk)
    assert_close(ours[0], losses, floor=largest)
    assert_close(ours[1], dx, floor=scale * np.max(np.abs(w)), factor=factor)
    assert_close(ours[2], dw, floor=scale * np.max(np.abs(x)), factor=factor)
    assert not ours[0][targets < 0].any() and not ours[1][targets < 0].any()


@given(T=sizes, d=sizes, V=sizes, chunk=chunks, scale=st.sampled_from((1.0, 1 / 512)),
       dtype=dtypes, rng=rngs)  # fmt: skip
@example(T=1, d=1, V=1, chunk=1, scale=1.0, dtype=np.float32, rng=np.random.default_rng(0))
@example(T=130, d=65, V=4259, chunk=64, scale=1.0, dtype=np.float32, rng=np.random.default_rng(0))
def test_linear_cross_entropy(T, d, V, chunk, scale, dtype, rng):
    check(*draw(rng, T, d, V, dtype), chunk, scale)


@given(T=sizes, d=sizes, V=sizes, chunk=chunks, dtype=dtypes, rng=rngs,
       largest=st.sampled_from((100.0, 1e4)))  # fmt: skip
def test_large_logits_do_not_overflow(T, d, V, chunk, dtype, rng, largest):
    """Logits of `largest` are known to eps * largest, and so are their exponentials."""
    factor = max(1.0, 8 * largest * np.finfo(dtype).eps / {4: 1e-5, 8: 1e-12}[dtype().itemsize])
    check(*draw(rng, T, d, V, dtype, largest / 3), chunk, 1.0, factor)


@settings(max_examples=10)
@given(T=sizes, d=sizes, V=sizes, chunk=chunks, rng=rngs)
def test_gradients(T, d, V, chunk, rng):
    x, w, targets = draw(rng, T, d, V, np.float64)
    _, dx, dw = kernels.linear_cross_entropy_backward(x, w, targets, scale=0.5, chunk=chunk)
    assert_gradients(
        lambda x, w: 0.5 * np.sum(kernels.linear_cross_entropy(x, w, targets)),
        [x, w],
        [dx, dw],
        rng,
    )


@given(T=sizes, d=sizes, V=sizes, chunk=chunks, dtype=dtypes, rng=rngs)
def test_the_weight_gradient_accumulates(T, d, V, chunk, dtype, rng):
    """The form that adds to dw, through the C interface; dx is overwritten either way."""
    x, w, targets = draw(rng, T, d, V, dtype)
    plain = kernels.linear_cross_entropy_backward(x, w, targets, chunk=chunk)
    before = normal(rng, (V, d), dtype)
    losses, dx, dw = np.full(T, np.nan, dtype), np.full_like(x, np.nan), before.copy()
    chunk = min(chunk, T)
    scratch = np.full((chunk, V), np.nan, dtype)
    arrays = (kernels.pointer(a) for a in (losses, dx, dw, scratch, x, w, targets))
    room = kernels.workspace(dtype, T, [(V, d)])
    kernels.library(dtype).vidya_linear_cross_entropy_backward(
        *arrays, T, d, V, chunk, 1.0, 1, 0, kernels.pointer(room)
    )
    assert np.array_equal(losses, plain[0]) and np.array_equal(dx, plain[1])
    assert_close(dw, reference.f64(before) + reference.f64(plain[2]), floor=1.0)


@settings(max_examples=10)
@given(T=sizes, d=sizes, V=sizes, chunk=chunks, rng=rngs)
def test_half(T, d, V, chunk, rng):
    """Losses are those of the rounded factors; the gradients round that of the logits, too."""
    x, w, targets = draw(rng, T, d, V, np.float32)
    options, bf16 = {"chunk": chunk, "precision": "bf16"}, reference.round_to_bf16
    losses = reference.linear_cross_entropy(bf16(x), bf16(w), targets)
    dlogits = reference.softmax(bf16(x) @ bf16(w).T)[0]
    dlogits[np.arange(T), np.maximum(targets, 0)] -= 1
    dlogits[targets < 0] = 0
    assert_close(kernels.linear_cross_entropy(x, w, targets, **options), losses, floor=1.0)
    ours = kernels.linear_cross_entropy_backward(x, w, targets, **options)
    assert_close(ours[0], losses, floor=1.0)
    # a last bit before the rounding may be a 256th behind it
    dx, dw = bf16(dlogits) @ bf16(w), bf16(dlogits).T @ bf16(x)
    assert relative_error(ours[1], dx, floor=np.max(np.abs(w))) <= 2**-8
    assert relative_error(ours[2], dw, floor=np.max(np.abs(x))) <= 2**-8
    assert not ours[0][targets < 0].any() and not ours[1][targets < 0].any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_chunk_changes_no_loss(dtype):
    """Chunks change the order of nothing but the sum over tokens in dw."""
    x, w, targets = draw(np.random.default_rng(1), 300, 24, 77, dtype)
    whole = kernels.linear_cross_entropy_backward(x, w, targets, chunk=300)
    for chunk in (1, 3, 64, 299, 10_000):
        part = kernels.linear_cross_entropy_backward(x, w, targets, chunk=chunk)
        for ours, wanted in zip(part, whole, strict=True):
            assert_close(ours, reference.f64(wanted), floor=1.0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_counted_gives_nothing(dtype):
    x, w, _ = draw(np.random.default_rng(2), 70, 5, 9, dtype)
    for part in kernels.linear_cross_entropy_backward(x, w, np.full(70, -1, np.int32)):
        assert not part.any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_scale_zero_gives_losses_and_zero_gradients(dtype):
    x, w, targets = draw(np.random.default_rng(3), 70, 5, 9, dtype)
    losses, dx, dw = kernels.linear_cross_entropy_backward(x, w, targets, scale=0.0)
    assert_close(losses, reference.linear_cross_entropy(x, w, targets))
    assert not dx.any() and not dw.any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("V", [1, 7, 16, 33, 300])
def test_nan_stays_in_its_row(V, dtype):
    x, w, targets = draw(np.random.default_rng(4), 20, 6, V, dtype)
    targets[:] = V - 1
    x[11, 3] = np.nan
    losses, dx, dw = kernels.linear_cross_entropy_backward(x, w, targets)
    assert np.array_equal(np.isnan(losses), np.arange(20) == 11)
    assert np.array_equal(np.isnan(dx).all(axis=1), np.arange(20) == 11)
    assert np.isnan(dw).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", [0, 1])
def test_nan_in_one_logit_shows_whether_or_not_it_is_the_target(target, dtype):
    w = np.ones((40, 3), dtype)
    w[1] = np.nan
    losses = kernels.linear_cross_entropy(np.ones((2, 3), dtype), w, np.full(2, target, np.int32))
    assert np.isnan(losses).all()
