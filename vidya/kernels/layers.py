"""What stands between the products: embedding, RMSNorm, RoPE, attention, GELU, dropout."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from vidya.kernels import arguments
from vidya.kernels.arguments import Array
from vidya.kernels.bindings import NULL, library, pointer

RMSNORM_EPS = 1e-5
ROPE_BASE = 10_000.0


# ---- token embedding -------------------------------------------------------


def embedding(tokens: Array, wte: Array, *, out: Array | None = None) -> Array:
    """Y [T, d] = wte [V, d] at the rows tokens [T] (int32)."""
    arguments.require_real("wte", wte, (None, None))
    arguments.require_ids("tokens", tokens, (None,), wte.shape[0], 0)
    T, d = len(tokens), wte.shape[1]
    y = arguments.output("out", out, (T, d), wte.dtype, wte, tokens)
    library(wte.dtype).vidya_embedding_forward(pointer(y), pointer(wte), pointer(tokens), T, d)
    return y


def embedding_backward(dy: Array, tokens: Array, dwte: Array) -> Array:
    """Add dy [T, d] to the rows tokens [T] of dwte [V, d], in place; returns dwte."""
    arguments.require_real("dy", dy, (None, None))
    T, d = dy.shape
    arguments.require("dwte", dwte, (None, d), dy.dtype)
    arguments.require_ids("tokens", tokens, (T,), dwte.shape[0], 0)
    arguments.output("dwte", dwte, dwte.shape, dy.dtype, dy, tokens)
    library(dy.dtype).vidya_embedding_backward(pointer(dwte), pointer(dy), pointer(tokens), T, d)
    return dwte


# ---- RMSNorm ---------------------------------------------------------------


def rmsnorm(x: Array, gain: Array, *, eps: float = RMSNORM_EPS) -> tuple[Array, Array]:
    """Y [T, d] = x * rstd * gain and rstd [T] = 1 / sqrt(mean(x²) + eps).

    Zhang and Sennrich 2019. x [T, d], gain [d].
    """
    arguments.require_real("x", x, (None, None))
    T, d = x.shape
    arguments.require("gain", gain, (d,), x.dtype)
    y, rstd = np.empty_like(x), np.empty(T, x.dtype)
    library(x.dtype).vidya_rmsnorm_forward(
        pointer(y), pointer(rstd), pointer(x), pointer(gain), T, d, eps
    )
    return y, rstd


def rmsnorm_statistics(x: Array, *, eps: float = RMSNORM_EPS) -> Array:
    """The rstd [T] of `rmsnorm` alone, for a product that normalises x [T, d] itself."""
    arguments.require_real("x", x, (None, None))
    T, d = x.shape
    rstd = np.empty(T, x.dtype)
    library(x.dtype).vidya_rmsnorm_statistics(pointer(rstd), pointer(x), T, d, eps)
    return rstd


def rmsnorm_backward(dy: Array, x: Array, rstd: Array, gain: Array) -> tuple[Array, Array]:
    """Dx [T, d] and dgain [d] from dy [T, d] and what `rmsnorm` took and gave."""
    arguments.require_real("dy", dy, (None, None))
    T, d = dy.shape
    arguments.require("x", x, (T, d), dy.dtype)
    arguments.require("rstd", rstd, (T,), dy.dtype)
    arguments.require("gain", gain, (d,), dy.dtype)
    dx, dgain = np.empty_like(x), np.empty_like(gain)
    library(dy.dtype).vidya_rmsnorm_backward(
        pointer(dx), pointer(dgain), pointer(dy), pointer(x), pointer(rstd), pointer(gain),
        T, d, 0, 0,
    )  # fmt: skip
    return dx, dgain


# ---- rotary positions ------------------------------------------------------


def rope_table(
    context: int, head_dim: int, *, base: float = ROPE_BASE, dtype: DTypeLike = np.float32
) -> tuple[Array, Array]:
    """Cos and sin [context, head_dim / 2] of position * base^(-2i / head_dim)."""
    if context < 1:
        raise ValueError(f"context must be at least 1, not {context}")
    arguments.head_columns(head_dim, 1)
    cos, sin = (np.empty((context, head_dim // 2), dtype) for _ in range(2))
    library(dtype).vidya_rope_table(pointer(cos), pointer(sin), context, head_dim, base)
    return cos, sin


def rope(
    x: Array, positions: Array, cos: Array, sin: Array, *, inverse: bool = False,
    out: Array | None = None, halves: Array | None = None,
) -> Array:  # fmt: skip
    """Rotate x [T, H, hd] by its positions [T] (int32), halves against halves.

    Su et al. 2021, in the rotate-half form of Hugging Face models: columns i and
    i + hd/2 are a pair. `inverse=True` rotates back, which is the backward pass.
    cos, sin [context, hd/2] come from `rope_table`. `out` may be x itself; `halves`
    (uint16, of x's shape) receives the result in bfloat16 as well.
    """
    arguments.require_real("x", x, (None, None, None))
    T, n_head, head_dim = x.shape
    arguments.head_columns(head_dim, 1)
    arguments.require("cos", cos, (None, head_dim // 2), x.dtype)
    arguments.require("sin", sin, cos.shape, x.dtype)
    arguments.require_ids("positions", positions, (T,), len(cos), 0)
    in_place = out is x
    out = arguments.output(
        "out", out, x.shape, x.dtype, x, cos, sin, positions, may_be=x if in_place else None
    )
    if halves is not None:
        arguments.output("halves", halves, x.shape, np.uint16, out, x, cos, sin, positions)
    if not in_place:
        out[...] = x
    library(x.dtype).vidya_rope(
        pointer(out), pointer(halves), pointer(positions), pointer(cos), pointer(sin),
        T, n_head * head_dim, n_head, head_dim, int(inverse),
    )  # fmt: skip
    return out


# ---- attention ---------------------------------------------------------------


def attention(qkv: Array, offsets: Array, n_head: int) -> tuple[Array, Array]:
    """Causal attention over documents laid end to end: out [T, d] and lse [T, H].

    qkv [T, 3d] holds queries, keys and values, each H heads of hd columns; hd even
    and at most MAX_HEAD_DIM. offsets [n_docs + 1] (int64) rises from 0 to T. A token sees
    itself and what stands before it in its own document. Scores are scaled by
    1/sqrt(hd); lse is the log-sum-exp of each row of them. Blocks of keys pass
    through an online softmax (Milakov and Gimelshein 2018; Dao et al. 2022), so no
    T x T matrix exists.

    qkv may be bfloat16 (uint16): out is too then, and lse and the arithmetic float32.
    """
    dtype = arguments.FLOAT32 if arguments.is_bf16(qkv) else arguments.real_dtype("qkv", qkv)
    T, d, head_dim = _heads(qkv, dtype, offsets, n_head)
    out, lse = np.empty((T, d), qkv.dtype), np.empty((T, n_head), dtype)
    library(dtype).vidya_attention_forward(
        pointer(out), pointer(lse), pointer(qkv), pointer(offsets), len(offsets) - 1,
        n_head, head_dim, int(arguments.is_bf16(qkv)),
    )  # fmt: skip
    return out, lse


def attention_backward(
    dout: Array, out: Array, lse: Array, qkv: Array, offsets: Array, n_head: int
) -> Array:
    """Dqkv [T, 3d] from dout [T, d] and what `attention` took and gave.

    Where qkv and out are bfloat16 (uint16), dout, lse and dqkv are float32.
    """
    dtype = arguments.real_dtype("dout", dout)
    T, d, head_dim = _heads(qkv, dtype, offsets, n_head)
    arguments.require("dout", dout, (T, d), dtype)
    arguments.require("out", out, (T, d), qkv.dtype)
    arguments.require("lse", lse, (T, n_head), dtype)
    dqkv, delta = np.empty((T, 3 * d), dtype), np.empty_like(lse)
    library(dtype).vidya_attention_backward(
        pointer(dqkv), pointer(delta), pointer(dout), pointer(out), pointer(lse), pointer(qkv),
        pointer(offsets), len(offsets) - 1, n_head, head_dim, int(arguments.is_bf16(qkv)),
    )  # fmt: skip
    return dqkv


def _heads(qkv: Array, dtype: np.dtype[Any], offsets: Array, n_head: int) -> tuple[int, int, int]:
    """Tokens, width and columns a head, of arguments that fit each other."""
    arguments.require_stored("qkv", qkv, (None, None), dtype)
    T, width = qkv.shape
    if width % 3:
        raise ValueError(f"qkv must have 3 * d columns, not {width}")
    arguments.require_offsets(offsets, T)
    return T, width // 3, arguments.head_columns(width // 3, n_head)


def attention_decode(q: Array, keys: Array, values: Array, n_head: int) -> Array:
    """Out [d]: one query q [d] over cached keys and values [n, d]."""
    arguments.require_real("q", q, (None,))
    d = len(q)
    head_dim = arguments.head_columns(d, n_head)
    arguments.require("keys", keys, (None, d), q.dtype)
    arguments.require("values", values, keys.shape, q.dtype)
    out = np.empty_like(q)
    library(q.dtype).vidya_attention_decode(
        pointer(out), pointer(q), pointer(keys), pointer(values), len(keys), n_head, head_dim
    )
    return out


# ---- GELU ------------------------------------------------------------------


def gelu(x: Array, *, out: Array | None = None) -> Array:
    """X * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x³))) / 2, any shape; `out` may be x.

    Hendrycks and Gimpel 2016, the tanh form.
    """
    arguments.require_real("x", x)
    y = arguments.output("out", out, x.shape, x.dtype, x, may_be=x if out is x else None)
    library(x.dtype).vidya_gelu_forward(pointer(y), pointer(x), x.size)
    return y


def gelu_backward(dy: Array, x: Array) -> Array:
    """Dx = dy * gelu'(x), for the x that `gelu` took."""
    arguments.require_real("x", x)
    arguments.require("dy", dy, x.shape, x.dtype)
    dx = np.empty_like(x)
    library(x.dtype).vidya_gelu_backward(pointer(dx), NULL, pointer(dy), pointer(x), x.size)
    return dx


# ---- dropout ---------------------------------------------------------------


def dropout_add(
    residual: Array | None, x: Array, p: float, seed: int, stream: int, *, out: Array | None = None
) -> Array:
    """Residual + dropout(x), any shape; `residual=None` is plain dropout.

    Element i (of the flattened array) is kept when word i % 4 of
    Philox4x32-10(key=seed, counter=(i // 4, stream)) is at least p * 2**32
    (Salmon et al. 2011), and scaled by 1 / (1 - p). The mask depends on seed,
    stream (both 64-bit) and i alone, so the backward pass is
    `dropout_add(None, dy, p, seed, stream)`. `out` may be x or residual.
    """
    arguments.require_real("x", x)
    if residual is not None:
        arguments.require("residual", residual, x.shape, x.dtype)
    arguments.require_mask(p, seed, stream)
    inputs = (x,) if residual is None else (x, residual)
    may_be = out if out is x or out is residual else None
    out = arguments.output("out", out, x.shape, x.dtype, *inputs, may_be=may_be)
    library(x.dtype).vidya_dropout_add(
        pointer(out), pointer(residual), pointer(x), x.size, p, seed, stream
    )
    return out
