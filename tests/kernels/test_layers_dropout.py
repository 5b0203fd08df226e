"""Dropout: the exact masks of the published generator, their statistics, and the sums."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.reference import kernels as reference
from support.reference.check import (
    DTYPES,
    assert_close,
    assert_gradients,
    dtypes,
    normal,
    seeds,
    sizes,
)

from vidya import kernels

rngs = seeds.map(np.random.default_rng)
words64 = st.one_of(
    st.sampled_from((0, 1, 2**32 - 1, 2**32, 2**63, 2**64 - 1)), st.integers(0, 2**64 - 1)
)
rates = st.sampled_from((0.0, 1e-12, 0.1, 0.25, 0.5, 0.9, 0.999))
counts = st.one_of(sizes, st.sampled_from((16383, 16384, 16385, 40_003)))


def mask(n, p, seed, stream, dtype=np.float32):
    """The kernel's own mask: what is left of ones."""
    return kernels.dropout_add(None, np.ones(n, dtype), p, seed, stream) > 0


@given(n=counts, p=rates, seed=words64, stream=words64, dtype=dtypes, rng=rngs)
@example(n=7, p=0.5, seed=2**64 - 1, stream=2**64 - 1, dtype=np.float32,
         rng=np.random.default_rng(0))  # fmt: skip
def test_dropout_add(n, p, seed, stream, dtype, rng):
    x, residual = normal(rng, n, dtype), normal(rng, n, dtype)
    y = kernels.dropout_add(residual, x, p, seed, stream)
    assert_close(y, reference.dropout_add(residual, x, p, seed, stream))
    plain = kernels.dropout_add(None, x, p, seed, stream)
    assert_close(plain, reference.dropout_add(None, x, p, seed, stream), floor=1.0)
    assert np.array_equal(plain != 0, reference.dropout_mask(n, p, seed, stream) & (x != 0))


@given(n=counts, p=rates, seed=words64, stream=words64, dtype=dtypes, rng=rngs)
def test_dropout_in_place(n, p, seed, stream, dtype, rng):
    x, residual = normal(rng, n, dtype), normal(rng, n, dtype)
    y = kernels.dropout_add(residual, x, p, seed, stream)
    over_x, over_residual = x.copy(), residual.copy()
    assert kernels.dropout_add(residual, over_x, p, seed, stream, out=over_x) is over_x
    kernels.dropout_add(over_residual, x, p, seed, stream, out=over_residual)
    assert np.array_equal(over_x, y) and np.array_equal(over_residual, y)
    alone = x.copy()
    kernels.dropout_add(None, alone, p, seed, stream, out=alone)
    assert np.array_equal(alone, kernels.dropout_add(None, x, p, seed, stream))


@given(n=counts, seed=words64, stream=words64, dtype=dtypes, rng=rngs)
def test_rate_zero_is_a_plain_sum(n, seed, stream, dtype, rng):
    x, residual = normal(rng, n, dtype), normal(rng, n, dtype)
    assert np.array_equal(kernels.dropout_add(residual, x, 0.0, seed, stream), residual + x)
    assert np.array_equal(kernels.dropout_add(None, x, 0.0, seed, stream), x)


@given(n=sizes, p=rates, seed=words64, stream=words64, rng=rngs)
def test_backward_is_dropout_of_the_gradient(n, p, seed, stream, rng):
    x, r = normal(rng, n), normal(rng, n)
    gradient = kernels.dropout_add(None, r, p, seed, stream)
    assert_gradients(
        lambda x: np.sum(r * kernels.dropout_add(x[::-1].copy() * 0, x, p, seed, stream)),
        [x],
        [gradient],
        rng,
    )


# The words of the known-answer vectors of philox4x32-10 (Random123, kat_vectors) that
# can be reached: element i = 4 * counter would have to exist, so the counter is 0.
ZERO_WORDS = (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)


@pytest.mark.parametrize("i", range(4))
def test_the_words_are_those_of_philox(i):
    """The known answers, read off by where the threshold p * 2^32 passes them."""
    word = ZERO_WORDS[i]
    assert mask(4, word / 2**32, 0, 0)[i]
    assert not mask(4, (word + 1) / 2**32, 0, 0)[i]


@given(seed=words64, stream=words64, i=st.integers(0, 299))
def test_the_threshold_is_exact(seed, stream, i):
    """Kept at p * 2^32 = word, dropped as soon as it is more, if only by a half."""
    counter = (i // 4, 0, stream & 0xFFFFFFFF, stream >> 32)
    word = int(reference.philox4x32_10(counter, (seed & 0xFFFFFFFF, seed >> 32))[i % 4])
    assert mask(300, word / 2**32, seed, stream)[i]
    assert not mask(300, (word + 0.5) / 2**32, seed, stream)[i]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", [0.05, 0.1, 0.5, 0.9])
def test_mask_statistics(p, dtype):
    """Rate, mean and independence of neighbours, within five standard deviations."""
    n = 200_000
    kept = mask(n, p, 12345, 678, dtype)
    deviation = np.sqrt(p * (1 - p) / n)
    assert abs(kept.mean() - (1 - p)) < 5 * deviation
    for lag in (1, 2, 4, 64):
        both = np.mean(kept[lag:] & kept[:-lag])
        assert abs(both - (1 - p) ** 2) < 5 * np.sqrt(p * (1 - p) / n)
    for word in range(4):
        assert abs(kept[word::4].mean() - (1 - p)) < 10 * deviation
    y = kernels.dropout_add(None, np.ones(n, dtype), p, 12345, 678)
    np.testing.assert_allclose(y[kept], 1 / (1 - p), rtol=1e-6)


def test_masks_of_other_seeds_and_streams_are_independent():
    masks = [mask(20_000, 0.5, seed, stream) for seed, stream in
             ((0, 0), (1, 0), (0, 1), (2**32, 0), (0, 2**32), (2**63, 2**63))]  # fmt: skip
    for i, one in enumerate(masks):
        for other in masks[:i]:
            assert abs(np.mean(one == other) - 0.5) < 5 * 0.5 / np.sqrt(20_000)


def test_the_mask_does_not_depend_on_length_shape_or_dtype():
    whole = mask(50_000, 0.3, 9, 8)
    for n in (1, 2, 3, 5, 63, 65, 16385):
        assert np.array_equal(mask(n, 0.3, 9, 8), whole[:n])
    ones = np.ones((50, 1000))
    assert np.array_equal(kernels.dropout_add(None, ones, 0.3, 9, 8).ravel() > 0, whole)


def test_rates_next_to_one_keep_next_to_nothing():
    for p in (1 - 1e-12, float(np.nextafter(1.0, 0.0))):
        assert not mask(100_000, p, 1, 2).any()


def test_nan_stays_where_it_is_kept_and_in_the_residual():
    x, residual = np.full(200, np.nan, np.float32), np.zeros(200, np.float32)
    kept = mask(200, 0.5, 3, 4)
    assert np.isnan(kernels.dropout_add(residual, x, 0.5, 3, 4)[kept]).all()
    assert np.isnan(kernels.dropout_add(x, residual, 0.5, 3, 4)).all()
