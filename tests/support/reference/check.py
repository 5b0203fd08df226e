"""How two results are compared, and the shapes that the tests draw."""

import numpy as np
import pytest
from hypothesis import strategies as st

from vidya import kernels

ISAS = ("generic", "avx2", "avx512", "avx512_bf16", "pairs")
DTYPES = (np.float32, np.float64)
TOLERANCE = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-12}

EDGES = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257)
"""One row, odd sizes, and the two sides of every tile edge."""


def use_isa(name):
    """Choose an instruction set, or skip the test where the processor lacks it."""
    try:
        kernels.set_isa(name)
    except ValueError:
        pytest.skip(f"this processor has no {name}")


sizes = st.one_of(st.sampled_from(EDGES), st.integers(1, 300))
seeds = st.integers(0, 2**32 - 1)
dtypes = st.sampled_from(DTYPES)
head_dims = st.sampled_from((2, 6, 32, 34, 64, 256))


@st.composite
def document_offsets(draw, at_most=400):
    """Offsets of documents: empty ones, of one token, short, about a block, and longer."""
    length = st.one_of(
        st.just(0), st.just(1), st.integers(1, 12), st.sampled_from(EDGES), st.integers(1, 300)
    )
    lengths = draw(st.one_of(st.lists(length, min_size=1, max_size=8), st.just([1] * 70)))
    offsets = np.minimum(np.cumsum([0, *lengths]), at_most).astype(np.int64)
    if offsets[-1] == 0:
        offsets[-1] = 1
    return offsets


def relative_error(actual, expected, floor=0.0):
    """max|actual - expected| / max|expected|: the error relative to the norm.

    Elements far smaller than the largest carry the rounding of the large ones
    that they were added from, so that an error element by element would say
    nothing. `floor` is the size of the terms whose difference `expected` is,
    where they may cancel to (nearly) nothing. A NaN on either side counts as
    an infinite error.
    """
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape
    error = float(np.max(np.abs(actual - expected)))
    largest = max(1e-30, float(np.max(np.abs(expected))), floor)
    return np.inf if np.isnan(error) else error / largest


def assert_close(actual, expected, floor=0.0, factor=1.0):
    """`actual` agrees with float64 `expected` to what its dtype promises, times `factor`."""
    limit = TOLERANCE[np.asarray(actual).dtype] * factor
    error = relative_error(actual, expected, floor)
    assert error <= limit, f"relative error {error:.3g}, allowed {limit:.3g}"


def assert_gradients(function, inputs, gradients, rng, tolerance=1e-6, h=1e-5):
    """Central differences of scalar `function` along a random direction of each input.

    A gradient None is not checked. The difference is measured against the norm of
    the gradient, which is the standard deviation of its product with the direction.
    """
    for i, gradient in enumerate(gradients):
        if gradient is None:
            continue
        direction = rng.standard_normal(inputs[i].shape)
        ahead, behind = (
            function(*inputs[:i], inputs[i] + sign * h * direction, *inputs[i + 1 :])
            for sign in (1, -1)
        )
        error = abs((ahead - behind) / (2 * h) - float(np.sum(gradient * direction)))
        limit = tolerance * max(1e-3, float(np.linalg.norm(gradient)))
        assert error <= limit, f"input {i}: finite difference off by {error:.3g} > {limit:.3g}"


def normal(rng, shape, dtype=np.float64, scale=1.0):
    return (scale * rng.standard_normal(shape)).astype(dtype)
