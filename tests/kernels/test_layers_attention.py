"""Fused causal attention against the reference, finite differences, and hostile inputs."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.reference import kernels as reference
from support.reference.check import (
    DTYPES,
    EDGES,
    TOLERANCE,
    assert_close,
    assert_gradients,
    document_offsets,
    dtypes,
    head_dims,
    normal,
    seeds,
    sizes,
)

from vidya import kernels

rngs = seeds.map(np.random.default_rng)
n_heads = st.integers(1, 3)


def offsets_of(*lengths):
    return np.cumsum([0, *lengths]).astype(np.int64)


def draw(rng, offsets, n_head, hd, dtype, scale=1.0):
    """qkv with scores of about scale^2, and dout."""
    T, d = int(offsets[-1]), n_head * hd
    return normal(rng, (T, 3 * d), dtype, scale), normal(rng, (T, d), dtype)


def backward(dout, qkv, offsets, n_head):
    out, lse = kernels.attention(qkv, offsets, n_head)
    return kernels.attention_backward(dout, out, lse, qkv, offsets, n_head)


@given(offsets=document_offsets(), H=n_heads, hd=head_dims, dtype=dtypes, rng=rngs)
@example(offsets_of(1), 1, 2, np.float32, np.random.default_rng(0))
@example(offsets_of(0, 0, 1, 0), 1, 256, np.float64, np.random.default_rng(0))
@example(offsets_of(*[1] * 300), 2, 6, np.float32, np.random.default_rng(0))
@example(offsets_of(600, 0, 3), 1, 34, np.float32, np.random.default_rng(0))
def test_attention(offsets, H, hd, dtype, rng):
    qkv, dout = draw(rng, offsets, H, hd, dtype)
    out, lse = kernels.attention(qkv, offsets, H)
    expected_out, expected_lse = reference.attention(qkv, offsets, H)
    assert_close(out, expected_out)
    assert_close(lse, expected_lse, floor=1.0)
    dqkv = kernels.attention_backward(dout, out, lse, qkv, offsets, H)
    assert_close(dqkv, reference.attention_backward(dout, qkv, offsets, H))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("T", EDGES)
def test_attention_at_tile_edges(T, dtype):
    """Documents of just under, at and over a block, first and behind another one."""
    rng = np.random.default_rng(T)
    for offsets in (offsets_of(T), offsets_of(5, T)):
        qkv, dout = draw(rng, offsets, 2, 32, dtype)
        assert_close(kernels.attention(qkv, offsets, 2)[0], reference.attention(qkv, offsets, 2)[0])
        expected = reference.attention_backward(dout, qkv, offsets, 2)
        assert_close(backward(dout, qkv, offsets, 2), expected)


@given(offsets=document_offsets(at_most=150), H=n_heads, hd=head_dims, rng=rngs)
def test_each_part_of_the_gradient_by_itself(offsets, H, hd, rng):
    """dq, dk and dv, so that a large one cannot hide a small one (double build)."""
    qkv, dout = draw(rng, offsets, H, hd, np.float64)
    parts = np.split(backward(dout, qkv, offsets, H), 3, axis=1)
    expected = np.split(reference.attention_backward(dout, qkv, offsets, H), 3, axis=1)
    for part, wanted in zip(parts, expected, strict=True):
        # dq and dk are differences of terms of about 1, nothing in documents of one token
        assert_close(part, wanted, floor=0.1)


@settings(max_examples=10)
@given(offsets=document_offsets(at_most=150), H=n_heads, hd=head_dims, rng=rngs)
def test_attention_gradient(offsets, H, hd, rng):
    qkv, r = draw(rng, offsets, H, hd, np.float64)
    gradient = backward(r, qkv, offsets, H)
    assert_gradients(
        lambda qkv: np.sum(r * kernels.attention(qkv, offsets, H)[0]), [qkv], [gradient], rng
    )


# ---- who sees whom ----------------------------------------------------------


@given(before=sizes, length=sizes, after=sizes, dtype=dtypes, rng=rngs)
def test_documents_never_see_each_other(before, length, after, dtype, rng):
    """A document's results are those that it has alone, bit for bit, beside NaN."""
    offsets = offsets_of(before, length, after)
    qkv, dout = draw(rng, offsets, 2, 6, dtype)
    inside = slice(before, before + length)
    own, own_dout = qkv[inside].copy(), dout[inside].copy()
    alone = kernels.attention(own, offsets_of(length), 2)
    qkv[:before] = np.nan
    qkv[before + length :] = np.nan
    together = kernels.attention(qkv, offsets, 2)
    for ours, wanted in zip(together, alone, strict=True):
        assert np.array_equal(ours[inside], wanted)
    dqkv = kernels.attention_backward(dout, *together, qkv, offsets, 2)
    expected = kernels.attention_backward(own_dout, *alone, own, offsets_of(length), 2)
    assert np.array_equal(dqkv[inside], expected)


@given(T=sizes, keep=sizes, dtype=dtypes, rng=rngs)
def test_the_future_changes_nothing(T, keep, dtype, rng):
    keep = min(keep, T)
    qkv, dout = draw(rng, offsets_of(T), 2, 10, dtype)
    out, lse = kernels.attention(qkv, offsets_of(T), 2)
    changed = qkv.copy()
    changed[keep:] = normal(rng, changed[keep:].shape, dtype, 50)
    out_changed, lse_changed = kernels.attention(changed, offsets_of(T), 2)
    assert np.array_equal(out[:keep], out_changed[:keep])
    assert np.array_equal(lse[:keep], lse_changed[:keep])
    # and what reaches only outputs before `keep` gives the future no gradient
    dout[keep:] = 0
    assert not backward(dout, qkv, offsets_of(T), 2)[keep:].any()


def test_empty_documents_change_nothing():
    rng = np.random.default_rng(3)
    plain, holey = offsets_of(5, 70), offsets_of(0, 5, 0, 0, 70, 0)
    qkv, dout = draw(rng, plain, 2, 8, np.float32)
    out, lse = kernels.attention(qkv, plain, 2)
    out_holey, lse_holey = kernels.attention(qkv, holey, 2)
    assert np.array_equal(out, out_holey) and np.array_equal(lse, lse_holey)
    assert np.array_equal(backward(dout, qkv, plain, 2), backward(dout, qkv, holey, 2))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_document_of_one_token_returns_its_value(dtype):
    rng = np.random.default_rng(4)
    offsets = offsets_of(*[1] * 40)
    qkv, dout = draw(rng, offsets, 3, 6, dtype)
    assert_close(kernels.attention(qkv, offsets, 3)[0], qkv[:, 36:].astype(np.float64))
    dqkv = backward(dout, qkv, offsets, 3)
    assert_close(dqkv[:, 36:], dout.astype(np.float64))
    assert np.max(np.abs(dqkv[:, :36])) <= 1e-5 * np.max(np.abs(dqkv))


# ---- large and bad numbers --------------------------------------------------


@settings(max_examples=15)
@given(
    offsets=document_offsets(at_most=200),
    hd=head_dims,
    dtype=dtypes,
    rng=rngs,
    largest=st.sampled_from((50.0, 1e3, 1e4)),
)
def test_large_scores_do_not_overflow(offsets, hd, dtype, rng, largest):
    """Scores up to `largest` on either side: e to their power is out of any range.

    A score is rounded to eps * score, and the softmax takes that for a relative
    error: so what can be asked of any softmax grows with the largest score.
    """
    qkv, dout = draw(rng, offsets, 1, hd, dtype)
    q, k = qkv[:, :hd], qkv[:, hd : 2 * hd]
    q *= dtype(largest / np.max(np.abs(q @ k.T / np.sqrt(hd))))
    factor = max(1.0, 8 * largest * np.finfo(dtype).eps / TOLERANCE[np.dtype(dtype)])
    out, lse = kernels.attention(qkv, offsets, 1)
    expected_out, expected_lse = reference.attention(qkv, offsets, 1)
    assert_close(out, expected_out, factor=factor)
    assert_close(lse, expected_lse, floor=1.0)
    dqkv = kernels.attention_backward(dout, out, lse, qkv, offsets, 1)
    terms = np.max(np.abs(q)) * np.max(np.abs(dout)) / np.sqrt(hd)  # of the sums in dk
    expected = reference.attention_backward(dout, qkv, offsets, 1)
    assert_close(dqkv, expected, floor=terms, factor=factor)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("T", [1, 9, 64, 65, 150])
def test_scores_that_grow_by_thousands(T, sign, dtype):
    """Exact scores of +-1e4 that rise or fall along the document, over block borders.

    Integers with hd = 4 make every score exact, so that nothing but the softmax is
    tested: the largest score takes all the weight.
    """
    offsets, hd = offsets_of(T), 4
    q, k, v = (np.zeros((T, hd), dtype) for _ in range(3))
    q[:, 0] = 128
    k[:, 0] = sign * np.linspace(-156, 156, T).round()
    v[:, 0] = np.arange(T)
    qkv = np.concatenate([q, k, v], axis=1)
    out, lse = kernels.attention(qkv, offsets, 1)
    expected_out, expected_lse = reference.attention(qkv, offsets, 1)
    assert np.isfinite(out).all() and np.isfinite(lse).all()
    assert_close(out, expected_out, floor=1.0)
    assert_close(lse, expected_lse)
    if T >= 9:
        assert np.max(np.abs(expected_lse)) > 9000
    dout = np.ones_like(out)
    dqkv = kernels.attention_backward(dout, out, lse, qkv, offsets, 1)
    assert_close(dqkv, reference.attention_backward(dout, qkv, offsets, 1), floor=float(T))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("T", [1, 5, 64, 130])
@pytest.mark.parametrize("column", [0, 8, 16])
def test_nan_stays_nan(column, T, dtype):
    """NaN in a token's query, key or value shows in its output, lse and gradient."""
    qkv, dout = draw(np.random.default_rng(0), offsets_of(T), 1, 8, dtype)
    at = T // 2
    qkv[at, column] = np.nan
    out, lse = kernels.attention(qkv, offsets_of(T), 1)
    assert np.isnan(out[at]).any()
    if column < 16:
        assert np.isnan(lse[at]).all()
    dqkv = kernels.attention_backward(dout, out, lse, qkv, offsets_of(T), 1)
    assert np.isnan(dqkv[at]).any()


# ---- bfloat16 -----------------------------------------------------------------


def check_half(offsets, H, hd, rng):
    """Loads are exact: so all but the rounding of out is that of float32, bit for bit."""
    qkv, dout = draw(rng, offsets, H, hd, np.float32)
    stored = kernels.to_bf16(qkv)
    rounded = kernels.from_bf16(stored)
    out, lse = kernels.attention(stored, offsets, H)
    plain_out, plain_lse = kernels.attention(rounded, offsets, H)
    assert out.dtype == np.uint16 and np.array_equal(out, kernels.to_bf16(plain_out))
    assert np.array_equal(lse, plain_lse)
    dqkv = kernels.attention_backward(dout, out, lse, stored, offsets, H)
    out = kernels.from_bf16(out)
    plain = kernels.attention_backward(dout, out, plain_lse, rounded, offsets, H)
    assert dqkv.dtype == np.float32 and np.array_equal(dqkv, plain)
    expected_out, expected_lse = reference.attention(rounded, offsets, H)
    assert np.all(np.abs(out - expected_out) <= 2**-8 * np.abs(expected_out) + 1e-5)
    assert_close(lse, expected_lse, floor=1.0)
    expected = reference.attention_backward(dout, rounded, offsets, H, out=out)
    assert_close(dqkv, expected)


@given(offsets=document_offsets(), H=n_heads, hd=head_dims, rng=rngs)
@example(offsets_of(0, 0, 1, 0), 1, 256, np.random.default_rng(0))
@example(offsets_of(600, 0, 3), 1, 34, np.random.default_rng(0))
def test_half(offsets, H, hd, rng):
    check_half(offsets, H, hd, rng)


@pytest.mark.parametrize("T", [1, 7, 8, 63, 64, 65, 200])
def test_half_on_every_instruction_set(isa, T):
    check_half(offsets_of(T, 3), 2, 34, np.random.default_rng(T))


def test_half_of_nan_stays_nan(isa):
    qkv, dout = draw(np.random.default_rng(0), offsets_of(70), 1, 8, np.float32)
    for column in (0, 8, 16):
        stored = kernels.to_bf16(qkv)
        stored[35, column] = 0x7F81  # a signalling NaN
        out, lse = kernels.attention(stored, offsets_of(70), 1)
        assert np.isnan(kernels.from_bf16(out)[35]).any()
        dqkv = kernels.attention_backward(dout, out, lse, stored, offsets_of(70), 1)
        assert np.isnan(dqkv[35]).any()


def test_half_in_the_double_build_is_read_and_written_as_well():
    offsets, H = offsets_of(70, 1, 9), 2
    qkv, dout = draw(np.random.default_rng(1), offsets, H, 10, np.float64)
    stored = kernels.to_bf16(qkv.astype(np.float32))
    rounded = kernels.from_bf16(stored).astype(np.float64)
    plain, plain_lse = kernels.attention(rounded, offsets, H)
    out, lse = np.zeros(dout.shape, np.uint16), np.full_like(plain_lse, np.nan)
    pointers = [kernels.pointer(array) for array in (out, lse, stored, offsets)]
    library = kernels.library(np.float64)
    library.vidya_attention_forward(*pointers, len(offsets) - 1, H, 10, 1)
    assert np.array_equal(out, kernels.to_bf16(plain.astype(np.float32)))
    assert np.array_equal(lse, plain_lse)
    dqkv = kernels.attention_backward(dout, out, lse, stored, offsets, H)
    out = kernels.from_bf16(out).astype(np.float64)
    assert np.array_equal(dqkv, kernels.attention_backward(dout, out, lse, rounded, offsets, H))


# ---- one query against a cache ----------------------------------------------


@given(n=sizes, H=n_heads, hd=head_dims, dtype=dtypes, rng=rngs)
def test_attention_decode(n, H, hd, dtype, rng):
    d = H * hd
    q, keys, values = normal(rng, d, dtype), normal(rng, (n, d), dtype), normal(rng, (n, d), dtype)
    out = kernels.attention_decode(q, keys, values, H)
    assert_close(out, reference.attention_decode(q, keys, values, H))


@given(T=sizes, H=n_heads, hd=head_dims, dtype=dtypes, rng=rngs)
def test_decoding_gives_the_rows_of_attention(T, H, hd, dtype, rng):
    d = H * hd
    qkv, _ = draw(rng, offsets_of(T), H, hd, dtype)
    out, _ = kernels.attention(qkv, offsets_of(T), H)
    q, keys, values = (np.ascontiguousarray(part) for part in np.split(qkv, 3, axis=1))
    for t in {0, T // 2, T - 1}:
        row = kernels.attention_decode(q[t], keys[: t + 1], values[: t + 1], H)
        assert row.shape == (d,)
        assert_close(row, out[t].astype(np.float64))


@pytest.mark.parametrize("dtype", DTYPES)
def test_decode_of_large_scores(dtype):
    n, hd = 150, 4
    q, keys, values = np.zeros(hd, dtype), np.zeros((n, hd), dtype), np.zeros((n, hd), dtype)
    q[0], keys[:, 0], values[:, 0] = 128, np.linspace(-156, 156, n).round(), np.arange(n)
    for sign in (1, -1):
        out = kernels.attention_decode(sign * q, keys, values, 1)
        assert_close(out, reference.attention_decode(sign * q, keys, values, 1), floor=1.0)
