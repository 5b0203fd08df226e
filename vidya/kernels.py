"""The C kernels as functions over NumPy arrays: the only module that touches cffi.

    from vidya import kernels
    y = kernels.gelu(x)

Every function takes C-contiguous arrays of one floating dtype, float32 or
float64: float64 arrays go to the same sources compiled in double precision,
which is meant for checking gradients and not for speed. Outputs are new arrays
unless `out=` names one. A wrong shape, dtype, layout or an overlap of arrays
that must not overlap raises `ValueError` or `TypeError` before any pointer goes
down. Calls release the GIL.

Shapes: T tokens, d width, V vocabulary, H heads, hd columns a head.

Code that runs the same kernels thousands of times over the same buffers (the
model) takes `library(dtype)` and `pointer(array)`, binds its pointers once and
calls the C functions of csrc/vidya.h without these checks.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from vidya import arrays
from vidya.arrays import Array
from vidya.errors import UserError

RMSNORM_EPS = 1e-5
ROPE_BASE = 10_000.0


def _preload_openblas() -> None:
    """Load OpenBLAS from its wheel, so that no environment variable is needed.

    The dynamic linker then finds it by its name when the extension asks for it,
    wherever the two were installed. Without the wheel (a build against the
    system's OpenBLAS) there is nothing to do.
    """
    try:
        import scipy_openblas32
    except ImportError:
        return
    path = os.path.join(scipy_openblas32.get_lib_dir(), "libscipy_openblas.so")
    if os.path.exists(path):
        ctypes.CDLL(path)


def _load_kernels() -> tuple[Any, Any]:
    """The extension modules in float and in double.

    One built against the system's OpenBLAS loads as it is; one built against the
    wheel asks for a library that is not on the linker's path until it is preloaded.
    """
    try:
        return _import_kernels()
    except ImportError:
        _preload_openblas()
    try:
        return _import_kernels()
    except ImportError as error:  # not built, or built for another Python
        raise UserError(
            f"the C kernels are not usable here ({error}): run `make` in vidya's folder"
        ) from None


def _import_kernels() -> tuple[Any, Any]:
    from vidya import _kernels, _kernels_f64

    return _kernels, _kernels_f64


_kernels, _kernels_f64 = _load_kernels()

if _kernels.lib.vidya_openblas_get_parallel() == 2:
    raise UserError(
        "this OpenBLAS is built with OpenMP, whose threads would fight with vidya's: "
        "build against the wheel (make without VIDYA_BLAS) or a pthreads OpenBLAS"
    )

NULL = _kernels.ffi.NULL


# ---- pointers ---------------------------------------------------


def library(dtype: DTypeLike = np.float32) -> Any:
    """The C functions of csrc/vidya.h, compiled for `dtype` (float32 or float64)."""
    return _module(np.dtype(dtype)).lib


def pointer(array: Array) -> Any:
    """A C pointer to the array's data. The caller keeps the array alive."""
    module = _kernels_f64 if array.dtype == arrays.FLOAT64 else _kernels
    return module.ffi.cast(_C_TYPES[array.dtype.str[1:]], array.ctypes.data)


_C_TYPES = {
    "f4": "float *", "f8": "double *", "i4": "int32_t *", "i8": "int64_t *", "u2": "uint16_t *",
    "u1": "uint8_t *",
}  # fmt: skip


def structure(name: str, dtype: DTypeLike, **fields: Any) -> Any:
    """A C structure of csrc/vidya.h, `vidya_input` or `vidya_output`, for `library(dtype)`.

    Fields are numbers and pointers; what they point to must be kept alive elsewhere.
    """
    return _module(np.dtype(dtype)).ffi.new(f"{name} *", fields)


_WORKSPACE_ALIGNMENT = 64


def workspace(dtype: DTypeLike = np.float32) -> Array:
    """Room for the linear layers' packed factors: one call at a time may use it."""
    room = np.empty(library(dtype).vidya_workspace_bytes() + _WORKSPACE_ALIGNMENT, np.uint8)
    start = -room.ctypes.data % _WORKSPACE_ALIGNMENT
    return room[start : len(room) - _WORKSPACE_ALIGNMENT + start]


def _module(dtype: np.dtype[Any]) -> Any:
    if dtype == arrays.FLOAT32:
        return _kernels
    if dtype == arrays.FLOAT64:
        return _kernels_f64
    raise TypeError(f"kernels take float32 or float64 arrays, not {dtype}")


# ---- threads, instruction set, BLAS ----------------------------------------


def set_num_threads(n: int) -> None:
    """Use `n` threads in every kernel, matrix multiplication included.

    Results are bit-identical whatever `n` is. OpenBLAS is called single-threaded
    on tiles by this one pool, so there is no second pool to govern; its own is
    reached by `openblas_set_num_threads`.

    Raises ValueError unless 1 <= n <= 256.
    """
    if not 1 <= n <= 256:
        raise ValueError(f"threads must be between 1 and 256, not {n}")
    _kernels.lib.vidya_set_num_threads(n)
    _kernels_f64.lib.vidya_set_num_threads(n)


def get_num_threads() -> int:
    """Threads that the kernels use."""
    return int(_kernels.lib.vidya_get_num_threads())


def openblas_set_num_threads(n: int) -> None:
    """Set the threads of OpenBLAS's own pool, for code that calls it directly.

    vidya's kernels set it back to 1, which is what their tiles need.
    """
    if not 1 <= n <= 256:
        raise ValueError(f"threads must be between 1 and 256, not {n}")
    _kernels.lib.vidya_openblas_set_num_threads(n)


def openblas_get_num_threads() -> int:
    """Threads of OpenBLAS's own pool."""
    return int(_kernels.lib.vidya_openblas_get_num_threads())


def openblas_config() -> str:
    """OpenBLAS's version, build options and the core type it chose."""
    return str(_kernels.ffi.string(_kernels.lib.vidya_openblas_config()).decode())


def get_isa() -> str:
    """Instruction set of the micro-kernels: "avx512", "avx2" or "generic"."""
    return str(_kernels.ffi.string(_kernels.lib.vidya_get_isa()).decode())


def set_isa(name: str) -> None:
    """Choose another instruction set (for tests); ValueError if the processor lacks it."""
    for module in (_kernels, _kernels_f64):
        if module.lib.vidya_set_isa(name.encode()) != 0:
            raise ValueError(f"this processor or build has no '{name}' micro-kernels")


def usable_cores() -> int:
    """Cores that this process may use: affinity and cgroup quota, at least 1."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count() or 1
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            quota, period = file.read().split()
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass
    return max(1, cores)


# ---- matrix multiplication -------------------------------------------------


def matmul(x: Array, w: Array, *, out: Array | None = None, accumulate: bool = False) -> Array:
    """Y [m, n] = x [m, k] @ w [n, k].T, added to `out` if `accumulate`."""
    dtype = arrays.real_dtype("x", x)
    arrays.require("x", x, (None, None), dtype)
    m, k = x.shape
    arrays.require("w", w, (None, k), dtype)
    n = w.shape[0]
    y = arrays.output("out", out, (m, n), dtype, x, w, accumulate=accumulate)
    library(dtype).vidya_matmul_forward(
        pointer(y), pointer(x), pointer(w), m, n, k, int(accumulate)
    )
    return y


def matmul_backward_input(
    dy: Array, w: Array, *, out: Array | None = None, accumulate: bool = False
) -> Array:
    """Dx [m, k] = dy [m, n] @ w [n, k], added to `out` if `accumulate`."""
    dtype = arrays.real_dtype("dy", dy)
    arrays.require("dy", dy, (None, None), dtype)
    m, n = dy.shape
    arrays.require("w", w, (n, None), dtype)
    k = w.shape[1]
    dx = arrays.output("out", out, (m, k), dtype, dy, w, accumulate=accumulate)
    library(dtype).vidya_matmul_backward_input(
        pointer(dx), pointer(dy), pointer(w), m, n, k, int(accumulate)
    )
    return dx


def matmul_backward_weight(
    dy: Array, x: Array, *, out: Array | None = None, accumulate: bool = False
) -> Array:
    """Dw [n, k] = dy [m, n].T @ x [m, k], added to `out` if `accumulate`."""
    dtype = arrays.real_dtype("dy", dy)
    arrays.require("dy", dy, (None, None), dtype)
    m, n = dy.shape
    arrays.require("x", x, (m, None), dtype)
    k = x.shape[1]
    dw = arrays.output("out", out, (n, k), dtype, dy, x, accumulate=accumulate)
    library(dtype).vidya_matmul_backward_weight(
        pointer(dw), pointer(dy), pointer(x), m, n, k, int(accumulate)
    )
    return dw


# ---- token embedding -------------------------------------------------------


def embedding(tokens: Array, wte: Array, *, out: Array | None = None) -> Array:
    """Y [T, d] = wte [V, d] at the rows tokens [T] (int32)."""
    arrays.require("wte", wte, (None, None), arrays.real_dtype("wte", wte))
    arrays.require_ids("tokens", tokens, (None,), wte.shape[0], 0)
    T, d = len(tokens), wte.shape[1]
    y = arrays.output("out", out, (T, d), wte.dtype, wte, tokens)
    library(wte.dtype).vidya_embedding_forward(pointer(y), pointer(wte), pointer(tokens), T, d)
    return y


def embedding_backward(dy: Array, tokens: Array, dwte: Array) -> Array:
    """Add dy [T, d] to the rows tokens [T] of dwte [V, d], in place; returns dwte."""
    arrays.require("dy", dy, (None, None), arrays.real_dtype("dy", dy))
    T, d = dy.shape
    arrays.require("dwte", dwte, (None, d), dy.dtype)
    arrays.require_ids("tokens", tokens, (T,), dwte.shape[0], 0)
    arrays.output("dwte", dwte, dwte.shape, dy.dtype, dy, tokens)
    library(dy.dtype).vidya_embedding_backward(pointer(dwte), pointer(dy), pointer(tokens), T, d)
    return dwte


# ---- RMSNorm ---------------------------------------------------------------


def rmsnorm(x: Array, gain: Array, *, eps: float = RMSNORM_EPS) -> tuple[Array, Array]:
    """Y [T, d] = x * rstd * gain and rstd [T] = 1 / sqrt(mean(x²) + eps).

    Zhang and Sennrich 2019. x [T, d], gain [d].
    """
    arrays.require("x", x, (None, None), arrays.real_dtype("x", x))
    T, d = x.shape
    arrays.require("gain", gain, (d,), x.dtype)
    y, rstd = np.empty_like(x), np.empty(T, x.dtype)
    library(x.dtype).vidya_rmsnorm_forward(
        pointer(y), pointer(rstd), pointer(x), pointer(gain), T, d, eps
    )
    return y, rstd


def rmsnorm_backward(dy: Array, x: Array, rstd: Array, gain: Array) -> tuple[Array, Array]:
    """Dx [T, d] and dgain [d] from dy [T, d] and what `rmsnorm` took and gave."""
    arrays.require("dy", dy, (None, None), arrays.real_dtype("dy", dy))
    T, d = dy.shape
    arrays.require("x", x, (T, d), dy.dtype)
    arrays.require("rstd", rstd, (T,), dy.dtype)
    arrays.require("gain", gain, (d,), dy.dtype)
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
    arrays.head_columns(head_dim, 1)
    cos, sin = (np.empty((context, head_dim // 2), dtype) for _ in range(2))
    library(dtype).vidya_rope_table(pointer(cos), pointer(sin), context, head_dim, base)
    return cos, sin


def rope(
    x: Array, positions: Array, cos: Array, sin: Array, *, inverse: bool = False,
    out: Array | None = None,
) -> Array:  # fmt: skip
    """Rotate x [T, H, hd] by its positions [T] (int32), halves against halves.

    Su et al. 2021, in the rotate-half form of Hugging Face models: columns i and
    i + hd/2 are a pair. `inverse=True` rotates back, which is the backward pass.
    cos, sin [context, hd/2] come from `rope_table`. `out` may be x itself.
    """
    arrays.require("x", x, (None, None, None), arrays.real_dtype("x", x))
    T, n_head, head_dim = x.shape
    arrays.head_columns(head_dim, 1)
    arrays.require("cos", cos, (None, head_dim // 2), x.dtype)
    arrays.require("sin", sin, cos.shape, x.dtype)
    arrays.require_ids("positions", positions, (T,), len(cos), 0)
    in_place = out is x
    out = arrays.output(
        "out", out, x.shape, x.dtype, x, cos, sin, positions, may_be=x if in_place else None
    )
    if not in_place:
        out[...] = x
    library(x.dtype).vidya_rope(
        pointer(out), NULL, pointer(positions), pointer(cos), pointer(sin), T, n_head * head_dim,
        n_head, head_dim, int(inverse),
    )  # fmt: skip
    return out


# ---- attention -------------------------------------------------------------


def attention(qkv: Array, offsets: Array, n_head: int) -> tuple[Array, Array]:
    """Causal attention over documents laid end to end: out [T, d] and lse [T, H].

    qkv [T, 3d] holds queries, keys and values, each H heads of hd columns; hd even
    and at most 256. offsets [n_docs + 1] (int64) rises from 0 to T. A token sees
    itself and what stands before it in its own document. Scores are scaled by
    1/sqrt(hd); lse is the log-sum-exp of each row of them. Blocks of keys pass
    through an online softmax (Milakov and Gimelshein 2018; Dao et al. 2022), so no
    T x T matrix exists.
    """
    arrays.require("qkv", qkv, (None, None), arrays.real_dtype("qkv", qkv))
    T, width = qkv.shape
    if width % 3:
        raise ValueError(f"qkv must have 3 * d columns, not {width}")
    head_dim = arrays.head_columns(width // 3, n_head)
    arrays.require_offsets(offsets, T)
    out, lse = np.empty((T, width // 3), qkv.dtype), np.empty((T, n_head), qkv.dtype)
    library(qkv.dtype).vidya_attention_forward(
        pointer(out), pointer(lse), pointer(qkv), pointer(offsets), len(offsets) - 1,
        n_head, head_dim, 0,
    )  # fmt: skip
    return out, lse


def attention_backward(
    dout: Array, out: Array, lse: Array, qkv: Array, offsets: Array, n_head: int
) -> Array:
    """Dqkv [T, 3d] from dout [T, d] and what `attention` took and gave."""
    arrays.require("qkv", qkv, (None, None), arrays.real_dtype("qkv", qkv))
    T, width = qkv.shape
    if width % 3:
        raise ValueError(f"qkv must have 3 * d columns, not {width}")
    head_dim = arrays.head_columns(width // 3, n_head)
    arrays.require("dout", dout, (T, width // 3), qkv.dtype)
    arrays.require("out", out, (T, width // 3), qkv.dtype)
    arrays.require("lse", lse, (T, n_head), qkv.dtype)
    arrays.require_offsets(offsets, T)
    dqkv, delta = np.empty_like(qkv), np.empty_like(lse)
    library(qkv.dtype).vidya_attention_backward(
        pointer(dqkv), pointer(delta), pointer(dout), pointer(out), pointer(lse), pointer(qkv),
        pointer(offsets), len(offsets) - 1, n_head, head_dim, 0,
    )  # fmt: skip
    return dqkv


def attention_decode(q: Array, keys: Array, values: Array, n_head: int) -> Array:
    """Out [d]: one query q [d] over cached keys and values [n, d]."""
    arrays.require("q", q, (None,), arrays.real_dtype("q", q))
    d = len(q)
    head_dim = arrays.head_columns(d, n_head)
    arrays.require("keys", keys, (None, d), q.dtype)
    arrays.require("values", values, keys.shape, q.dtype)
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
    arrays.require("x", x, arrays.real_shape("x", x), x.dtype)
    y = arrays.output("out", out, x.shape, x.dtype, x, may_be=x if out is x else None)
    library(x.dtype).vidya_gelu_forward(pointer(y), pointer(x), x.size)
    return y


def gelu_backward(dy: Array, x: Array) -> Array:
    """Dx = dy * gelu'(x), for the x that `gelu` took."""
    arrays.require("x", x, arrays.real_shape("x", x), x.dtype)
    arrays.require("dy", dy, x.shape, x.dtype)
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
    arrays.require("x", x, arrays.real_shape("x", x), x.dtype)
    if residual is not None:
        arrays.require("residual", residual, x.shape, x.dtype)
    if not 0.0 <= p < 1.0:
        raise ValueError(f"p must be in [0, 1), not {p}")
    for name, value in (("seed", seed), ("stream", stream)):
        if not 0 <= value < 2**64:
            raise ValueError(f"{name} must be in [0, 2**64), not {value}")
    inputs = (x,) if residual is None else (x, residual)
    may_be = out if out is x or out is residual else None
    out = arrays.output("out", out, x.shape, x.dtype, *inputs, may_be=may_be)
    library(x.dtype).vidya_dropout_add(
        pointer(out), NULL if residual is None else pointer(residual), pointer(x), x.size, p,
        seed, stream,
    )  # fmt: skip
    return out


# ---- final projection + cross-entropy --------------------------------------


def linear_cross_entropy(x: Array, w: Array, targets: Array, *, chunk: int = 256) -> Array:
    """Losses [T] = -log softmax(x @ w.T)[targets], in nats; 0 where targets < 0.

    x [T, d], w [V, d], targets [T] int32 below V; negative ones are not counted.
    Logits exist for `chunk` tokens at a time.
    """
    T, d, V, scratch = _cross_entropy_arguments(x, w, targets, chunk)
    losses, room = np.empty(T, x.dtype), workspace(x.dtype)
    library(x.dtype).vidya_linear_cross_entropy_forward(
        pointer(losses), pointer(scratch), pointer(x), pointer(w), pointer(targets),
        T, d, V, len(scratch), 0, pointer(room),
    )  # fmt: skip
    return losses


def linear_cross_entropy_backward(
    x: Array, w: Array, targets: Array, *, scale: float = 1.0, chunk: int = 256
) -> tuple[Array, Array, Array]:
    """Losses [T] as `linear_cross_entropy` gives, dx [T, d] and dw [V, d].

    The gradients are those of sum(losses) * scale; scale is 1 / T for a mean.
    """
    T, d, V, scratch = _cross_entropy_arguments(x, w, targets, chunk)
    losses, dx, dw = np.empty(T, x.dtype), np.empty_like(x), np.empty_like(w)
    room = workspace(x.dtype)
    library(x.dtype).vidya_linear_cross_entropy_backward(
        pointer(losses), pointer(dx), pointer(dw), pointer(scratch), pointer(x), pointer(w),
        pointer(targets), T, d, V, len(scratch), scale, 0, 0, pointer(room),
    )  # fmt: skip
    return losses, dx, dw


def _cross_entropy_arguments(
    x: Array, w: Array, targets: Array, chunk: int
) -> tuple[int, int, int, Array]:
    arrays.require("x", x, (None, None), arrays.real_dtype("x", x))
    T, d = x.shape
    arrays.require("w", w, (None, d), x.dtype)
    V = len(w)
    arrays.require_ids("targets", targets, (T,), V, -(2**31))
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, not {chunk}")
    return T, d, V, np.empty((min(chunk, T), V), x.dtype)


# ---- over flat buffers -----------------------------------------------------


def sum(x: Array) -> float:
    """Sum of all elements, added in double in a fixed order."""
    arrays.require("x", x, arrays.real_shape("x", x), x.dtype)
    return float(library(x.dtype).vidya_sum(pointer(x), x.size))


def norm(x: Array) -> float:
    """Euclidean norm of all elements, added in double in a fixed order."""
    arrays.require("x", x, arrays.real_shape("x", x), x.dtype)
    return float(library(x.dtype).vidya_norm(pointer(x), x.size))


def adam(
    param: Array, m: Array, v: Array, grad: Array, *, lr: float, step: int,
    beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, grad_scale: float = 1.0,
) -> None:  # fmt: skip
    """One Adam step (Kingma and Ba 2015, algorithm 1) in place on param, m and v.

    All of one shape. `step` counts from 1 (bias correction). The gradient is
    grad * grad_scale: clipping to a global norm c is
    `grad_scale=min(1, c / norm(grad))`.
    """
    arrays.require("grad", grad, arrays.real_shape("grad", grad), grad.dtype)
    if step < 1:
        raise ValueError(f"step counts from 1, not {step}")
    state = {"param": param, "m": m, "v": v}
    for name, array in state.items():
        arrays.require(name, array, grad.shape, grad.dtype)
        others = [other for key, other in state.items() if key != name]
        arrays.output(name, array, grad.shape, grad.dtype, grad, *others)
    library(grad.dtype).vidya_adam(
        pointer(param), pointer(m), pointer(v), pointer(grad), grad.size,
        lr, beta1, beta2, eps, step, grad_scale,
    )  # fmt: skip
