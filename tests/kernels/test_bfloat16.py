"""bfloat16: how numbers are rounded to it, in Python and in every kernel that stores it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.reference import kernels as reference
from support.reference.check import DTYPES, assert_close, normal

from vidya import kernels

pytestmark = pytest.mark.usefixtures("kernel_settings")
ALL = np.arange(2**16, dtype=np.uint16)
"""Every bfloat16 there is."""


def words(*bits):
    return np.array(bits, np.uint32).view(np.float32)


def hard_words():
    """Beside and on every tie, about the borders of the exponents, and drawn at random."""
    upper = ALL.astype(np.uint32)[::7] << 16
    near = [upper | low for low in (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF)]
    drawn = np.random.default_rng(0).integers(0, 2**32, 20_000, np.uint32)
    return np.concatenate([*near, drawn]).view(np.float32)


# float32: bfloat16
KNOWN = {
    0x00000000: 0x0000, 0x80000000: 0x8000,
    0x3F800000: 0x3F80,  # 1
    0x3F808000: 0x3F80, 0x3F808001: 0x3F81, 0x3F807FFF: 0x3F80,  # a tie, to even
    0x3F818000: 0x3F82, 0x3F817FFF: 0x3F81, 0xBF818000: 0xBF82,  # a tie, to even
    0x3FFFFFFF: 0x4000,  # into the next exponent
    0x007FFFFF: 0x0080, 0x00000001: 0x0000, 0x00008001: 0x0001,  # subnormal
    0x7F7F7FFF: 0x7F7F, 0x7F7F8000: 0x7F80, 0x7F7FFFFF: 0x7F80, 0xFF7FFFFF: 0xFF80,
    0x7F800000: 0x7F80, 0xFF800000: 0xFF80,  # infinities
    0x7F800001: 0x7FC0, 0xFF800001: 0xFFC0,  # a NaN in the lower half only
    0x7FFFFFFF: 0x7FFF, 0xFFFFFFFF: 0xFFFF,  # must not carry over into 0
    0x7FC12345: 0x7FC1, 0x7F812345: 0x7FC1,  # payload kept, signalling made quiet
}  # fmt: skip


@pytest.mark.parametrize("bits", KNOWN, ids=hex)
def test_known_values(bits):
    assert int(kernels.to_bf16(words(bits))[0]) == KNOWN[bits]


def test_agrees_with_the_reference_which_counts_no_bits():
    x = hard_words()
    number = ~np.isnan(x)
    ours = kernels.from_bf16(kernels.to_bf16(x))
    assert np.array_equal(ours[number], reference.round_to_bf16(x[number]))
    assert np.isnan(ours[~number]).all()
    assert np.array_equal(np.signbit(ours), np.signbit(x))


def test_every_bfloat16_survives():
    values = kernels.from_bf16(ALL)
    back = kernels.to_bf16(values)
    quiet = np.where(np.isnan(values), ALL | 0x40, ALL)
    assert np.array_equal(back, quiet)
    assert np.isnan(values).sum() == 2 * 127 and np.isinf(values).sum() == 2


def test_any_shape():
    x = normal(np.random.default_rng(0), (2, 3, 5), np.float32)
    assert kernels.to_bf16(x).shape == kernels.from_bf16(kernels.to_bf16(x)).shape == (2, 3, 5)
    one = kernels.to_bf16(np.array(1.5, np.float32))
    assert one.shape == () and one.dtype == np.uint16 and kernels.from_bf16(one) == 1.5


@pytest.mark.parametrize("wrong", [1.0, [1.0], np.ones(2), np.ones(2, np.uint16), None])
def test_to_bf16_takes_float32_arrays(wrong):
    with pytest.raises(TypeError):
        kernels.to_bf16(wrong)


@pytest.mark.parametrize("wrong", [1, [1], np.ones(2, np.float32), np.ones(2, np.int16), None])
def test_from_bf16_takes_uint16_arrays(wrong):
    with pytest.raises(TypeError):
        kernels.from_bf16(wrong)


# ---- in the kernels ---------------------------------------------------------------------


def stored_by_rope(x):
    """x behind a row's rotated columns, through the store that rope does."""
    n = len(x)
    row, halves = np.concatenate([np.zeros(2, x.dtype), x]), np.zeros(n + 2, np.uint16)
    position, one, zero = np.zeros(1, np.int32), np.ones(1, x.dtype), np.zeros(1, x.dtype)
    pointers = [kernels.pointer(array) for array in (row, halves, position, one, zero)]
    kernels.library(x.dtype).vidya_rope(*pointers, 1, n + 2, 1, 2, 0)
    return halves[2:]


def test_kernels_store_every_number_as_to_bf16_does(isa):
    x = hard_words()
    for n in (len(x), 1, 7, 33):
        assert np.array_equal(stored_by_rope(x[-n:]), kernels.to_bf16(x[-n:]))


def test_the_double_build_stores_what_it_can_of_float32(isa):
    x = hard_words()
    with np.errstate(invalid="ignore"):  # signalling NaNs become quiet ones
        double = x.astype(np.float64)
    # inside kernels, what is subnormal as a float32 is zero, of the same sign
    subnormal = np.abs(x) < np.finfo(np.float32).tiny
    assert subnormal.any()
    x[subnormal] = np.copysign(np.float32(0), x[subnormal])
    assert np.array_equal(stored_by_rope(double), kernels.to_bf16(x))


def test_kernels_round_factors_as_to_bf16_does(isa):
    """Times one is exact: what comes back are the factors that were multiplied."""
    x = hard_words()
    x = x[np.isfinite(x) & (np.abs(x) > 2.0**-120)]  # vdpbf16ps takes subnormals for zero
    expected, one = kernels.from_bf16(kernels.to_bf16(x)), np.ones((1, 1), np.float32)
    half = {"precision": "bf16"}
    as_rows = kernels.linear(x[:, None].copy(), one, **half)[:, 0]
    assert np.array_equal(as_rows, expected)
    as_weights = kernels.linear(one, x[:, None].copy(), **half)[0]
    assert np.array_equal(as_weights, expected)
    as_lanes = kernels.linear_backward_weight(x[None, :].copy(), one, **half)[:, 0]
    assert np.array_equal(as_lanes, expected)
    stored = np.empty((len(x), 1), np.uint16)
    kernels.linear(kernels.to_bf16(x)[:, None].copy(), one, out=stored, **half)
    assert np.array_equal(stored[:, 0], kernels.to_bf16(expected))


@pytest.mark.parametrize("dtype", DTYPES)
@given(T=st.integers(1, 70), H=st.integers(1, 4), pairs=st.sampled_from((1, 3, 16, 17)))
def test_rope_stores_what_it_turned(dtype, T, H, pairs):
    hd, rng = 2 * pairs, np.random.default_rng(T)
    x, positions = normal(rng, (T, H, hd), dtype), rng.integers(0, 50, T).astype(np.int32)
    cos, sin = kernels.rope_table(50, hd, dtype=dtype)
    for inverse in (False, True):
        plain = kernels.rope(x, positions, cos, sin, inverse=inverse)
        for in_place in (False, True):
            out, halves = x.copy() if in_place else None, np.full(x.shape, 0x7FC0, np.uint16)
            given_x = x if out is None else out
            turned = kernels.rope(
                given_x, positions, cos, sin, inverse=inverse, out=out, halves=halves
            )
            assert np.array_equal(turned, plain)
            assert np.array_equal(halves, kernels.to_bf16(plain.astype(np.float32)))
    assert_close(plain, reference.rope(x, positions, cos, sin, inverse=True))


@pytest.mark.parametrize("dtype", DTYPES)
def test_rope_copies_the_columns_that_it_does_not_turn(dtype):
    """As the model has it: queries and keys turned, values not, all kept in bfloat16."""
    T, H, hd = 37, 3, 10
    rng = np.random.default_rng(0)
    x, positions = normal(rng, (T, 3 * H * hd), dtype), rng.integers(0, 50, T).astype(np.int32)
    cos, sin = kernels.rope_table(50, hd, dtype=dtype)
    turned, halves = x.copy(), np.zeros(x.shape, np.uint16)
    pointers = [kernels.pointer(array) for array in (turned, halves, positions, cos, sin)]
    kernels.library(dtype).vidya_rope(*pointers, T, 3 * H * hd, 2 * H, hd, 0)
    split = x.reshape(T, 3 * H, hd)
    expected = np.concatenate(
        [kernels.rope(split[:, : 2 * H].copy(), positions, cos, sin), split[:, 2 * H :]], axis=1
    ).reshape(x.shape)
    assert np.array_equal(turned, expected)
    assert np.array_equal(halves, kernels.to_bf16(expected.astype(np.float32)))
