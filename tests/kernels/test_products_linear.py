"""Linear layers with what surrounds them: every fused form against float64 NumPy.

The shapes stand on both sides of every size that csrc/linear.c cuts at: the
micro-kernels' tiles (6 rows; 4 to 64 columns), 64 columns and 72 rows packed by a task,
384 steps in a panel and four panels, 512 columns finished at a time, and 1536 * 1536
packed numbers.
"""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
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
)

from vidya import kernels
from vidya.kernels import products

pytestmark = pytest.mark.usefixtures("kernel_settings")
rngs = seeds.map(np.random.default_rng)
EDGES = (1, 2, 3, 5, 6, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 63, 64, 65, 71, 72, 73, 127, 128, 129)
LONG = (383, 384, 385, 511, 512, 513, 575, 577)
short = st.one_of(st.sampled_from(EDGES), st.integers(1, 150))
long = st.one_of(short, st.sampled_from(LONG))
PRECISIONS = ("fp32", "bf16")
HALF_LIMIT = 3e-6
"""Error allowed in sums of exact products of bfloat16, relative to the largest."""

# T, n, k
SHAPES = (
    (1, 1, 1),
    (1, 2, 1537),
    (1, 513, 383),
    (2, 1, 385),
    (5, 17, 8),
    (6, 64, 384),
    (7, 65, 512),
    (24, 129, 769),
    (25, 7, 1536),
    (71, 512, 6),
    (72, 16, 1),
    (73, 513, 65),
    (145, 1, 3),
    (600, 3, 5),
    (577, 9, 130),
    (1537, 8, 7),
    (3101, 5, 130),
    (2, 9, 40001),  # panels of 36,864 steps are as wide as the widest tile
    (3, 1601, 1601),  # a part of the columns, of the steps, and both at their ends
    (9, 801, 3001),  # parts of 786 columns where all steps are packed at once
    (9, 3001, 801),  # the same in the backward pass
)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)
both_precisions = pytest.mark.parametrize("precision", PRECISIONS)


def draw(rng, T, n, k, dtype):
    """x, w, dy, and rstd and gain that normalise x."""
    x, w, dy = normal(rng, (T, k), dtype), normal(rng, (n, k), dtype), normal(rng, (T, n), dtype)
    return x, w, dy, kernels.rmsnorm_statistics(x), normal(rng, k, dtype)


def half(array):
    """An array as bfloat16, and what that stands for."""
    stored = kernels.to_bf16(array.astype(np.float32))
    return stored, kernels.from_bf16(stored)


def input_forms(x, rstd, gain):
    """Every way to give a factor, beside the same for the reference (in its own x)."""
    stored, rounded = half(x)
    normed, activated = {"rstd": rstd, "gain": gain}, {"gelu": True}
    for before in ({}, normed, activated, {**normed, **activated}):
        yield x, x, before
        yield stored, rounded, before


def check_forward(T, n, k, dtype, rng):
    size = np.sqrt(k)  # of a sum: where all cancel, it is not of their result
    x, w, _, rstd, gain = draw(rng, T, n, k, dtype)
    product = reference.linear(x, w)
    for given_x, plain_x, before in input_forms(x, rstd, gain):
        as_it_is = plain_x is x and not before
        expected = product if as_it_is else reference.linear(plain_x, w, **before)
        assert_close(kernels.linear(given_x, w, **before), expected, floor=size)
    plain = kernels.linear(x, w)
    residual, mask = normal(rng, (T, n), dtype, np.sqrt(k)), (0.3, 2**63 + 7, 2**41 + 3)
    for dropout in (None, mask):
        y, drop = kernels.linear(x, w, residual=residual, dropout=dropout), dropout or (0.0, 0, 0)
        assert_close(y, reference.dropout_add(residual, product, *drop), floor=size)
        # the same as its parts, but for the order of long sums
        parts = kernels.dropout_add(residual, plain, *drop)
        assert relative_error(y, parts, floor=size) <= 1e-6
    total = residual.copy()
    assert kernels.linear(x, w, out=total, accumulate=True) is total
    assert_close(total, product + residual, floor=size)
    # what stood in the output must not matter, not even NaN
    assert np.array_equal(kernels.linear(x, w, out=np.full_like(plain, np.nan)), plain)


def check_backward_input(T, n, k, dtype, rng):
    size = np.sqrt(n)  # of a sum: where all cancel, it is not of their result
    x, w, dy, *_ = draw(rng, T, n, k, dtype)
    stored_dy, rounded_dy = half(dy)
    plain = reference.linear_backward_input(dy, w)
    assert_close(kernels.linear_backward_input(dy, w), plain, floor=size)
    expected = reference.linear_backward_input(rounded_dy, w)
    assert_close(kernels.linear_backward_input(stored_dy, w), expected, floor=size)
    before, y = x.copy(), np.full_like(x, np.nan)
    dx = kernels.linear_backward_input(dy, w, gelu_of=x, gelu_out=y, out=np.full_like(x, np.nan))
    assert_close(dx, reference.gelu_backward(plain, x), floor=size)
    assert np.array_equal(x, before) and np.array_equal(y, kernels.gelu(x))
    total = x * dtype(np.sqrt(n))
    before = total.copy()
    kernels.linear_backward_input(dy, w, out=total, accumulate=True)
    assert_close(total, plain + before, floor=size)


def check_backward_weight(T, n, k, dtype, rng):
    size = np.sqrt(T)  # of a sum: where all cancel, it is not of their result
    x, _, dy, rstd, gain = draw(rng, T, n, k, dtype)
    wide = np.empty((n, k), dtype)  # stored factors alone do not say the dtype
    stored_dy, rounded_dy = half(dy)
    product = reference.linear_backward_weight(dy, x)
    for i, (given_x, plain_x, before) in enumerate(input_forms(x, rstd, gain)):
        given_dy, plain_dy = ((dy, dy), (stored_dy, rounded_dy))[i % 3 == 1]
        dw = kernels.linear_backward_weight(given_dy, given_x, out=wide, **before)
        assert dw is wide
        as_it_is = plain_x is x and plain_dy is dy and not before
        expected = (
            product if as_it_is else reference.linear_backward_weight(plain_dy, plain_x, **before)
        )
        assert_close(dw, expected, floor=size)
    total = normal(rng, (n, k), dtype, np.sqrt(T))
    expected = total + product
    kernels.linear_backward_weight(dy, x, out=total, accumulate=True)
    assert_close(total, expected, floor=size)


CHECKS = (check_forward, check_backward_input, check_backward_weight)
every_check = pytest.mark.parametrize("check", CHECKS)


@every_check
@both_dtypes
@every_shape
def test_hostile_shapes(shape, dtype, check):
    check(*shape, dtype, np.random.default_rng(shape))


@given(T=short, n=short, k=long, dtype=dtypes, rng=rngs)
def test_forward(T, n, k, dtype, rng):
    check_forward(T, n, k, dtype, rng)


@given(T=short, n=long, k=short, dtype=dtypes, rng=rngs)
def test_backward_input(T, n, k, dtype, rng):
    check_backward_input(T, n, k, dtype, rng)


@given(T=long, n=short, k=short, dtype=dtypes, rng=rngs)
def test_backward_weight(T, n, k, dtype, rng):
    check_backward_weight(T, n, k, dtype, rng)


@every_check
@both_dtypes
def test_every_instruction_set(isa, dtype, check):
    for shape in ((1, 1, 1), (7, 9, 11), (73, 65, 385), (64, 130, 33)):
        check(*shape, dtype, np.random.default_rng(shape))


# ---- products of bfloat16 -------------------------------------------------------------


def half_error(actual, expected):
    """Relative to the largest, or to 1, the size of a term, where all sums cancel."""
    return relative_error(actual, expected, floor=1.0)


def check_half(T, n, k, rng):
    """bf16 products of what is given, or of what the fused input makes of it."""
    x, w, dy, rstd, gain = draw(rng, T, n, k, np.float32)
    bf16 = {"precision": "bf16"}

    def near(actual, expected, inner):
        assert relative_error(actual, expected, floor=np.sqrt(inner)) <= HALF_LIMIT

    # each factor is rounded once: rounded ones are products as they are
    rounded_x, rounded_w, rounded_dy = map(reference.round_to_bf16, (x, w, dy))
    stored_x, stored_dy = kernels.to_bf16(x), kernels.to_bf16(dy)
    y = reference.linear(rounded_x, rounded_w)
    for given_x in (x, stored_x):
        near(kernels.linear(given_x, w, **bf16), y, k)
    expected_dx = reference.linear_backward_input(rounded_dy, rounded_w)
    expected_dw = reference.linear_backward_weight(rounded_dy, rounded_x)
    for given_dy in (dy, stored_dy):
        near(kernels.linear_backward_input(given_dy, w, **bf16), expected_dx, n)
        near(kernels.linear_backward_weight(given_dy, x, **bf16), expected_dw, T)
    # a last bit more or less before the rounding may be a 256th behind it: so the input of
    # the rounding must be exact, or the kernel's own
    exact, rstd, gain = half(x)[1], np.exp2(np.floor(np.log2(rstd))), half(gain)[1]
    normed, activated = {"rstd": rstd, "gain": gain}, kernels.gelu(x)
    for given_x, before, made in (
        (exact, normed, reference.linear_input(exact, **normed)),
        (x, {"gelu": True}, activated),
    ):
        factor = reference.round_to_bf16(made)
        y = kernels.linear(given_x, w, **before, **bf16)
        near(y, reference.linear(factor, rounded_w), k)
        dw = kernels.linear_backward_weight(dy, given_x, **before, **bf16)
        near(dw, reference.linear_backward_weight(rounded_dy, factor), T)


@every_shape
def test_half_of_hostile_shapes(shape):
    check_half(*shape, np.random.default_rng(shape))


@pytest.mark.parametrize("shape", [s for s in SHAPES if max(s) < 1000], ids=str)
def test_half_on_every_instruction_set(isa, shape):
    check_half(*shape, np.random.default_rng(shape))


@given(T=short, n=short, k=short, rng=rngs)
def test_half(T, n, k, rng):
    for name in ("generic", "pairs"):
        kernels.set_isa(name)
        check_half(T, n, k, rng)


# ---- results that are stored as bfloat16 -----------------------------------------------


@both_precisions
@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 17, 9), (73, 513, 385), (9, 801, 1500)], ids=str)
def test_stored_results_are_the_rounded_ones(isa, shape, precision):
    T, n, k = shape
    x, w, dy, rstd, gain = draw(np.random.default_rng(shape), T, n, k, np.float32)
    normed = {"rstd": rstd, "gain": gain, "precision": precision}
    stored = np.empty((T, n), np.uint16)
    assert kernels.linear(x, w, out=stored, **normed) is stored
    assert np.array_equal(stored, kernels.to_bf16(kernels.linear(x, w, **normed)))
    stored = np.empty((T, k), np.uint16)
    kernels.linear_backward_input(dy, w, out=stored, precision=precision)
    plain = kernels.linear_backward_input(dy, w, precision=precision)
    assert np.array_equal(stored, kernels.to_bf16(plain))
    # through GELU: from a stored x, to a stored gradient and a stored activation
    pre, rounded = half(x)
    given, activated = pre.copy(), np.empty_like(pre)
    dx = kernels.linear_backward_input(
        dy, w, gelu_of=given, gelu_out=activated, precision=precision
    )
    assert dx.dtype == np.uint16 and np.array_equal(given, pre)
    assert np.array_equal(activated, kernels.to_bf16(kernels.gelu(rounded)))
    expected = kernels.linear_backward_input(dy, w, gelu_of=rounded, precision=precision)
    assert np.array_equal(dx, kernels.to_bf16(expected))


# ---- fused is the same as one after the other -------------------------------------------


@both_precisions
@pytest.mark.parametrize(
    "shape", [(1, 3, 5), (30, 17, 129), (73, 513, 385), (400, 20, 30)], ids=str
)
def test_fused_inputs_are_those_of_the_separate_kernels(isa, shape, precision):
    """Bit for bit: a factor is the same number whether it is made before or on the way."""
    T, n, k = shape
    x, w, dy, rstd, gain = draw(np.random.default_rng(shape), T, n, k, np.float32)
    y, _ = kernels.rmsnorm(x, gain)
    options = {"precision": precision}
    normed, both = {"rstd": rstd, "gain": gain}, {"rstd": rstd, "gain": gain, "gelu": True}
    for before, made in ((normed, y), ({"gelu": True}, kernels.gelu(x)), (both, kernels.gelu(y))):
        fused = kernels.linear(x, w, **before, **options)
        assert np.array_equal(fused, kernels.linear(made, w, **options))
        fused = kernels.linear_backward_weight(dy, x, **before, **options)
        assert np.array_equal(fused, kernels.linear_backward_weight(dy, made, **options))


@both_precisions
@both_dtypes
def test_gelu_of_and_its_output_may_be_one_array(dtype, precision):
    if precision == "bf16" and dtype == np.float64:
        pytest.skip("bf16 is for float32")
    x, w, dy, *_ = draw(np.random.default_rng(1), 31, 40, 517, dtype)
    options = {"precision": precision}
    apart = kernels.linear_backward_input(dy, w, gelu_of=x, **options)
    y = kernels.gelu(x)
    in_place = x.copy()
    dx = kernels.linear_backward_input(dy, w, gelu_of=in_place, gelu_out=in_place, **options)
    assert np.array_equal(dx, apart) and np.array_equal(in_place, y)
    product = kernels.linear_backward_input(dy, w, **options)
    assert relative_error(dx, kernels.gelu_backward(product, x), floor=1.0) <= 1e-6


@pytest.mark.parametrize("p", [0.0, 1e-12, 0.1, 0.5, 0.999])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 9, 65, 130, 511, 513, 1030])
def test_masks_are_those_of_dropout_add(isa, n, p):
    """Bit for bit, also where rows are no multiple of four and finished in pieces."""
    T, seed, stream = 41, 2**64 - 3, 2**40 + 1
    x, w = np.ones((T, 3), np.float32), np.ones((n, 3), np.float32)
    zeros = np.zeros((T, n), np.float32)
    for precision in PRECISIONS:
        y = kernels.linear(x, w, residual=zeros, dropout=(p, seed, stream), precision=precision)
        whole = kernels.dropout_add(None, np.full((T, n), 3, np.float32), p, seed, stream)
        assert np.array_equal(y, whole)
    if 0.1 <= p <= 0.5 and n >= 7:
        assert 0 < np.count_nonzero(y) < y.size


# ---- what a number depends on ------------------------------------------------------------


@both_precisions
def test_a_row_does_not_depend_on_the_others(isa, precision):
    check_rows(400, 70, 400, precision)


@both_precisions
def test_a_row_of_long_sums_does_not_depend_on_the_others(isa, precision):
    """Over more panels than are packed at one time: a row of a whole tile or of a part."""
    check_rows(80, 130, 2400, precision)
    check_rows(80, 2400, 130, precision)


def check_rows(T, n, k, precision):
    x, w, dy, rstd, gain = draw(np.random.default_rng(5), T, n, k, np.float32)
    residual, options = normal(np.random.default_rng(6), (T, n), np.float32), {}
    options["precision"] = precision

    def results(rows):
        own, mine, before = x[rows].copy(), dy[rows].copy(), {"rstd": rstd[rows].copy()}
        yield kernels.linear(own, w, gain=gain, **before, **options)
        yield kernels.linear(own, w, residual=residual[rows].copy(), gelu=True, **options)
        yield kernels.linear_backward_input(mine, w, **options)
        yield kernels.linear_backward_input(mine, w, gelu_of=own, **options)

    whole = list(results(slice(None)))
    for rows in (slice(0, 1), slice(0, 7), slice(3, 4), slice(T - 9, T), slice(T - 1, T)):
        for part, all_rows in zip(results(rows), whole, strict=True):
            assert np.array_equal(part, all_rows[rows])


@both_precisions
def test_a_column_does_not_depend_on_the_others(isa, precision):
    x, w, dy, rstd, gain = draw(np.random.default_rng(7), 80, 700, 60, np.float32)
    y = kernels.linear(x, w, rstd=rstd, gain=gain, precision=precision)
    dw = kernels.linear_backward_weight(dy, x, precision=precision)
    for columns in (slice(0, 1), slice(5, 100), slice(500, 700)):
        some = w[columns].copy(), dy[:, columns].copy()
        part = kernels.linear(x, some[0], rstd=rstd, gain=gain, precision=precision)
        assert np.array_equal(part, y[:, columns])
        part = kernels.linear_backward_weight(some[1], x, precision=precision)
        assert np.array_equal(part, dw[columns])


# ---- the workspace --------------------------------------------------------------------------

GUARD = 1 << 21  # more bytes than any factor's last panel has
LARGEST = 1 << 26  # and than any workspace here
ROWS = (1, 7, 60, 61, 64, 66, 72, 130, 1540)
WEIGHTS = ((1, 1), (61, 1), (64, 64), (7, 385), (700, 61), (125, 700), (66, 1537))
PACKED = [*((T, n, k) for T in ROWS for n, k in WEIGHTS), (2, 9, 40001), (2, 40001, 9)]


@both_dtypes
def test_products_stay_within_their_workspace(isa, monkeypatch, dtype):
    """A factor's last panel is padded to the tile, whatever that is: 61 rows to 66."""
    rooms, everything = [], np.empty(64 + LARGEST + GUARD, np.uint8)
    start = 64 - everything.ctypes.data % 64

    def guarded(dtype, T, weights):
        """One room for all, whose guard begins where the workspace ends."""
        ((n, k),) = weights
        size = kernels.library(dtype).vidya_workspace_bytes(T, n, k)
        room = everything[: start + size + GUARD]
        before, behind = room[:start], room[start + size :]
        before[:] = behind[:] = 0xA5
        rooms.append((before, behind))
        return room[start : start + size]

    monkeypatch.setattr(products, "workspace", guarded)
    for T, n, k in PACKED:
        x, w, dy = np.ones((T, k), dtype), np.ones((n, k), dtype), np.ones((T, n), dtype)
        for product in (
            partial(kernels.linear, x, w),
            partial(kernels.linear, x, w, residual=dy),
            partial(kernels.linear_backward_input, dy, w),
            partial(kernels.linear_backward_input, dy, w, gelu_of=x),
            partial(kernels.linear_backward_weight, dy, x),
        ):
            product()
            before, behind = rooms.pop()
            assert not rooms and np.all(before == 0xA5) and np.all(behind == 0xA5), (T, n, k)


# ---- gradients -----------------------------------------------------------------------------


@settings(max_examples=10)
@given(T=short, n=short, k=short, rng=rngs)
def test_gradients(T, n, k, rng):
    """Finite differences of the fused forward passes against the fused backward ones."""
    x, w, r, rstd, gain = draw(rng, T, n, k, np.float64)
    mask = (0.3, 5, 6)
    dropped = kernels.dropout_add(None, r, *mask)  # the gradient that reaches the product

    def loss(x, w, residual, **before):
        y = kernels.linear(x, w, residual=residual, dropout=mask, **before)
        return np.sum(r * y)

    gradients = [
        kernels.linear_backward_input(dropped, w, gelu_of=x),
        kernels.linear_backward_weight(dropped, x, gelu=True),
        r,
    ]
    residual = normal(rng, (T, n))
    assert_gradients(lambda *args: loss(*args, gelu=True), [x, w, residual], gradients, rng)
    normed = {"rstd": rstd, "gain": gain}
    # rstd is given, not a function of x here: so x * rstd * gain is linear in x
    gradients[0] = kernels.linear_backward_input(dropped, w) * rstd[:, None] * gain
    gradients[1] = kernels.linear_backward_weight(dropped, x, **normed)
    assert_gradients(lambda *args: loss(*args, **normed), [x, w, residual], gradients, rng)


# ---- bad numbers ----------------------------------------------------------------------------

NAN_BITS = (0x7FC00000, 0xFFC00000, 0x7F800001, 0xFF800001, 0x7F80FFFF, 0x7FFFFFFF, 0xFFFFFFFF)
BAD = [*np.array(NAN_BITS, np.uint32).view(np.float32), np.float32(np.inf), -np.float32(np.inf)]
PLACES = [(0, 0), (3, 388), (79, 400), (7, 15), (78, 399)]


def bad_rows(array):
    return ~np.isfinite(array).all(axis=1)


@both_precisions
@pytest.mark.parametrize("bad", BAD, ids=lambda x: hex(int(x.view(np.uint32))))
def test_what_is_no_number_shows_where_it_belongs(isa, bad, precision):
    """And nowhere else; a NaN stays one though it is only in the bits that are cut off."""
    T, n, k = 80, 90, 401
    rows = np.arange(T)
    options = {"precision": precision}
    for row, column in PLACES:
        x, w, dy, rstd, gain = draw(np.random.default_rng(0), T, n, k, np.float32)
        x[row, column] = bad
        rstd[:] = 1
        for before in ({}, {"rstd": rstd, "gain": gain}):
            y = kernels.linear(x, w, **before, **options)
            assert np.array_equal(bad_rows(y), rows == row)
            assert not np.isfinite(y[row]).any() and (np.isinf(bad) or np.isnan(y[row]).all())
        dw = kernels.linear_backward_weight(dy, x, **options)
        assert np.array_equal(bad_rows(dw.T), np.arange(k) == column)
        y = kernels.linear(x, w, out=np.empty((T, n), np.uint16), **options)
        assert np.array_equal(bad_rows(kernels.from_bf16(y)), rows == row)
        if np.isnan(bad):
            assert np.isnan(kernels.linear(x, w, gelu=True, **options)[row]).all()
        at = np.zeros((T, k), bool)
        at[row, column] = np.isnan(bad)  # the slope of GELU at infinity is a number
        dx = kernels.linear_backward_input(dy, w, gelu_of=x, **options)
        assert np.array_equal(np.isnan(dx), at)


@both_precisions
def test_no_number_in_the_other_arguments(isa, precision):
    T, n, k = 30, 70, 400
    options = {"precision": precision}
    for bad in BAD:
        x, w, dy, rstd, gain = draw(np.random.default_rng(0), T, n, k, np.float32)
        residual = normal(np.random.default_rng(1), (T, n), np.float32)
        w[65, 399] = bad
        y = kernels.linear(x, w, **options)
        assert np.array_equal(bad_rows(y.T), np.arange(n) == 65)
        dx = kernels.linear_backward_input(dy, w, **options)
        assert np.array_equal(bad_rows(dx.T), np.arange(k) == 399)
        w[65, 399] = 1
        residual[29, 69] = bad
        y = kernels.linear(x, w, residual=residual, dropout=(0.5, 1, 2), **options)
        assert np.isfinite(y).sum() == y.size - 1 and not np.isfinite(y[29, 69])
        dy[17, 33] = bad
        dx = kernels.linear_backward_input(dy, w, **options)
        assert np.array_equal(bad_rows(dx), np.arange(T) == 17)
        dw = kernels.linear_backward_weight(dy, x, **options)
        assert np.array_equal(bad_rows(dw), np.arange(n) == 33)
        gain[399] = bad
        assert not np.isfinite(kernels.linear(x, w, rstd=rstd, gain=gain, **options)).any()


# ---- the statistics of RMSNorm alone -----------------------------------------------------------


@given(T=short, d=long, dtype=dtypes, rng=rngs)
def test_rmsnorm_statistics(T, d, dtype, rng):
    x, gain = normal(rng, (T, d), dtype), normal(rng, d, dtype)
    rstd = kernels.rmsnorm_statistics(x)
    assert rstd.shape == (T,) and np.array_equal(rstd, kernels.rmsnorm(x, gain)[1])
    assert_close(rstd, reference.rmsnorm(x, gain)[1])
    small = normal(rng, (T, d), dtype, 1e-3)
    assert_close(kernels.rmsnorm_statistics(small, eps=0.5), reference.rmsnorm(small, gain, 0.5)[1])
