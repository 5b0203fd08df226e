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
from numpy.typing import DTypeLike, NDArray

from vidya.config import MAX_HEAD_DIM
from vidya.errors import UserError

Array = NDArray[Any]

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


_preload_openblas()
try:
    from vidya import _kernels, _kernels_f64
except ImportError as error:  # not built, or built for another Python
    raise UserError(
        f"the C kernels are not usable here ({error}): run `make` in vidya's folder"
    ) from None

if _kernels.lib.vidya_openblas_get_parallel() == 2:
    raise UserError(
        "this OpenBLAS is built with OpenMP, whose threads would fight with vidya's: "
        "build against the wheel (make without VIDYA_BLAS) or a pthreads OpenBLAS"
    )

NULL = _kernels.ffi.NULL
_FLOAT32 = np.dtype(np.float32)
_FLOAT64 = np.dtype(np.float64)


# ---- pointers and checks ---------------------------------------------------


def library(dtype: DTypeLike = np.float32) -> Any:
    """The C functions of csrc/vidya.h, compiled for `dtype` (float32 or float64)."""
    return _module(np.dtype(dtype)).lib


def pointer(array: Array) -> Any:
    """A C pointer to the array's data. The caller keeps the array alive."""
    module = _kernels_f64 if array.dtype == _FLOAT64 else _kernels
    return module.ffi.cast(_C_TYPES[array.dtype.str[1:]], array.ctypes.data)


_C_TYPES = {"f4": "float *", "f8": "double *", "i4": "int32_t *", "i8": "int64_t *"}


def _module(dtype: np.dtype[Any]) -> Any:
    if dtype == _FLOAT32:
        return _kernels
    if dtype == _FLOAT64:
        return _kernels_f64
    raise TypeError(f"kernels take float32 or float64 arrays, not {dtype}")


def _dtype(name: str, array: Array) -> np.dtype[Any]:
    """The dtype that decides which library a call goes to."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, not {type(array).__name__}")
    if array.dtype not in (_FLOAT32, _FLOAT64):
        raise TypeError(f"{name} must be float32 or float64, not {array.dtype}")
    return array.dtype


def _check(name: str, array: Array, shape: tuple[int | None, ...], dtype: DTypeLike) -> None:
    """Raise unless `array` is contiguous, of `dtype` and of `shape` (None: any length)."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, not {type(array).__name__}")
    if array.dtype != np.dtype(dtype):
        raise TypeError(f"{name} must be {np.dtype(dtype)}, not {array.dtype}")
    if array.ndim != len(shape) or any(
        want is not None and want != have for want, have in zip(shape, array.shape, strict=True)
    ):
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise ValueError(f"{name} must have shape ({wanted}), not {array.shape}")
    if type(array) not in (np.ndarray, np.memmap):  # a masked array hides values from the checks
        raise TypeError(f"{name} must be a plain NumPy array, not {type(array).__name__}")
    if not array.flags.aligned:
        raise ValueError(f"{name} is not aligned in memory: pass {name}.copy()")
    if max(array.shape, default=1) >= 2**31:
        raise ValueError(f"{name} has an axis of 2**31 or more, which OpenBLAS cannot count")
    if not array.flags.c_contiguous:
        raise ValueError(f"{name} must be C-contiguous: pass np.ascontiguousarray({name})")
    if array.size == 0:
        raise ValueError(f"{name} is empty: shape {array.shape}")


def _shape(name: str, array: Array) -> tuple[int, ...]:
    """The shape of an array that may have any."""
    _dtype(name, array)
    return array.shape


def _output(
    name: str,
    out: Array | None,
    shape: tuple[int, ...],
    dtype: DTypeLike,
    *inputs: Array,
    accumulate: bool = False,
    may_be: Array | None = None,
) -> Array:
    """`out` checked against shape, dtype and overlap with `inputs`, or a new array.

    `may_be` is the one of the inputs that `out` may be, whole.
    """
    if out is None:
        if accumulate:
            raise ValueError(f"accumulate needs {name}, the array to add to")
        return np.empty(shape, dtype)
    _check(name, out, shape, dtype)
    if not out.flags.writeable:
        raise ValueError(f"{name} is read-only")
    for array in inputs:
        if array is not may_be and np.may_share_memory(out, array):
            raise ValueError(f"{name} must not overlap the inputs")
    return out


def _check_ids(
    name: str, ids: Array, shape: tuple[int | None, ...], below: int, least: int
) -> None:
    """Raise unless `ids` are int32, of `shape`, and all in [least, below)."""
    _check(name, ids, shape, np.int32)
    low, high = int(ids.min()), int(ids.max())
    if low < least or high >= below:
        raise ValueError(f"{name} must lie in [{least}, {below}), found {low} to {high}")


def _check_offsets(offsets: Array, tokens: int) -> None:
    _check("offsets", offsets, (None,), np.int64)
    if (
        len(offsets) < 2
        or offsets[0] != 0
        or offsets[-1] != tokens
        or np.any(offsets[1:] < offsets[:-1])
    ):
        raise ValueError(f"offsets must rise from 0 to the number of tokens, {tokens}")


def _heads(width: int, n_head: int) -> int:
    """Columns a head, for `n_head` heads over `width` columns."""
    if n_head < 1 or width % n_head:
        raise ValueError(f"{width} columns cannot be split into {n_head} heads")
    head_dim = width // n_head
    if head_dim % 2 or not 0 < head_dim <= MAX_HEAD_DIM:
        raise ValueError(f"head_dim must be even and at most {MAX_HEAD_DIM}, not {head_dim}")
    return head_dim


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
    dtype = _dtype("x", x)
    _check("x", x, (None, None), dtype)
    m, k = x.shape
    _check("w", w, (None, k), dtype)
    n = w.shape[0]
    y = _output("out", out, (m, n), dtype, x, w, accumulate=accumulate)
    library(dtype).vidya_matmul_forward(
        pointer(y), pointer(x), pointer(w), m, n, k, int(accumulate)
    )
    return y


def matmul_backward_input(
    dy: Array, w: Array, *, out: Array | None = None, accumulate: bool = False
) -> Array:
    """Dx [m, k] = dy [m, n] @ w [n, k], added to `out` if `accumulate`."""
    dtype = _dtype("dy", dy)
    _check("dy", dy, (None, None), dtype)
    m, n = dy.shape
    _check("w", w, (n, None), dtype)
    k = w.shape[1]
    dx = _output("out", out, (m, k), dtype, dy, w, accumulate=accumulate)
    library(dtype).vidya_matmul_backward_input(
        pointer(dx), pointer(dy), pointer(w), m, n, k, int(accumulate)
    )
    return dx


def matmul_backward_weight(
    dy: Array, x: Array, *, out: Array | None = None, accumulate: bool = False
) -> Array:
    """Dw [n, k] = dy [m, n].T @ x [m, k], added to `out` if `accumulate`."""
    dtype = _dtype("dy", dy)
    _check("dy", dy, (None, None), dtype)
    m, n = dy.shape
    _check("x", x, (m, None), dtype)
    k = x.shape[1]
    dw = _output("out", out, (n, k), dtype, dy, x, accumulate=accumulate)
    library(dtype).vidya_matmul_backward_weight(
        pointer(dw), pointer(dy), pointer(x), m, n, k, int(accumulate)
    )
    return dw


# ---- token embedding -------------------------------------------------------


def embedding(tokens: Array, wte: Array, *, out: Array | None = None) -> Array:
    """Y [T, d] = wte [V, d] at the rows tokens [T] (int32)."""
    _check("wte", wte, (None, None), _dtype("wte", wte))
    _check_ids("tokens", tokens, (None,), wte.shape[0], 0)
    T, d = len(tokens), wte.shape[1]
    y = _output("out", out, (T, d), wte.dtype, wte, tokens)
    library(wte.dtype).vidya_embedding_forward(pointer(y), pointer(wte), pointer(tokens), T, d)
    return y


def embedding_backward(dy: Array, tokens: Array, dwte: Array) -> Array:
    """Add dy [T, d] to the rows tokens [T] of dwte [V, d], in place; returns dwte."""
    _check("dy", dy, (None, None), _dtype("dy", dy))
    T, d = dy.shape
    _check("dwte", dwte, (None, d), dy.dtype)
    _check_ids("tokens", tokens, (T,), dwte.shape[0], 0)
    _output("dwte", dwte, dwte.shape, dy.dtype, dy, tokens)
    library(dy.dtype).vidya_embedding_backward(pointer(dwte), pointer(dy), pointer(tokens), T, d)
    return dwte


# ---- RMSNorm ---------------------------------------------------------------


def rmsnorm(x: Array, gain: Array, *, eps: float = RMSNORM_EPS) -> tuple[Array, Array]:
    """Y [T, d] = x * rstd * gain and rstd [T] = 1 / sqrt(mean(x²) + eps).

    Zhang and Sennrich 2019. x [T, d], gain [d].
    """
    _check("x", x, (None, None), _dtype("x", x))
    T, d = x.shape
    _check("gain", gain, (d,), x.dtype)
    y, rstd = np.empty_like(x), np.empty(T, x.dtype)
    library(x.dtype).vidya_rmsnorm_forward(
        pointer(y), pointer(rstd), pointer(x), pointer(gain), T, d, eps
    )
    return y, rstd


def rmsnorm_backward(dy: Array, x: Array, rstd: Array, gain: Array) -> tuple[Array, Array]:
    """Dx [T, d] and dgain [d] from dy [T, d] and what `rmsnorm` took and gave."""
    _check("dy", dy, (None, None), _dtype("dy", dy))
    T, d = dy.shape
    _check("x", x, (T, d), dy.dtype)
    _check("rstd", rstd, (T,), dy.dtype)
    _check("gain", gain, (d,), dy.dtype)
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
    _heads(head_dim, 1)
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
    _check("x", x, (None, None, None), _dtype("x", x))
    T, n_head, head_dim = x.shape
    _heads(head_dim, 1)
    _check("cos", cos, (None, head_dim // 2), x.dtype)
    _check("sin", sin, cos.shape, x.dtype)
    _check_ids("positions", positions, (T,), len(cos), 0)
    in_place = out is x
    out = _output(
        "out", out, x.shape, x.dtype, x, cos, sin, positions, may_be=x if in_place else None
    )
    if not in_place:
        out[...] = x
    library(x.dtype).vidya_rope(
        pointer(out), pointer(positions), pointer(cos), pointer(sin), T, n_head * head_dim,
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
    _check("qkv", qkv, (None, None), _dtype("qkv", qkv))
    T, width = qkv.shape
    if width % 3:
        raise ValueError(f"qkv must have 3 * d columns, not {width}")
    head_dim = _heads(width // 3, n_head)
    _check_offsets(offsets, T)
    out, lse = np.empty((T, width // 3), qkv.dtype), np.empty((T, n_head), qkv.dtype)
    library(qkv.dtype).vidya_attention_forward(
        pointer(out), pointer(lse), pointer(qkv), pointer(offsets), len(offsets) - 1,
        n_head, head_dim,
    )  # fmt: skip
    return out, lse


def attention_backward(
    dout: Array, out: Array, lse: Array, qkv: Array, offsets: Array, n_head: int
) -> Array:
    """Dqkv [T, 3d] from dout [T, d] and what `attention` took and gave."""
    _check("qkv", qkv, (None, None), _dtype("qkv", qkv))
    T, width = qkv.shape
    if width % 3:
        raise ValueError(f"qkv must have 3 * d columns, not {width}")
    head_dim = _heads(width // 3, n_head)
    _check("dout", dout, (T, width // 3), qkv.dtype)
    _check("out", out, (T, width // 3), qkv.dtype)
    _check("lse", lse, (T, n_head), qkv.dtype)
    _check_offsets(offsets, T)
    dqkv, delta = np.empty_like(qkv), np.empty_like(lse)
    library(qkv.dtype).vidya_attention_backward(
        pointer(dqkv), pointer(delta), pointer(dout), pointer(out), pointer(lse), pointer(qkv),
        pointer(offsets), len(offsets) - 1, n_head, head_dim,
    )  # fmt: skip
    return dqkv


def attention_decode(q: Array, keys: Array, values: Array, n_head: int) -> Array:
    """Out [d]: one query q [d] over cached keys and values [n, d]."""
    _check("q", q, (None,), _dtype("q", q))
    d = len(q)
    head_dim = _heads(d, n_head)
    _check("keys", keys, (None, d), q.dtype)
    _check("values", values, keys.shape, q.dtype)
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
    _check("x", x, _shape("x", x), x.dtype)
    y = _output("out", out, x.shape, x.dtype, x, may_be=x if out is x else None)
    library(x.dtype).vidya_gelu_forward(pointer(y), pointer(x), x.size)
    return y


def gelu_backward(dy: Array, x: Array) -> Array:
    """Dx = dy * gelu'(x), for the x that `gelu` took."""
    _check("x", x, _shape("x", x), x.dtype)
    _check("dy", dy, x.shape, x.dtype)
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
    _check("x", x, _shape("x", x), x.dtype)
    if residual is not None:
        _check("residual", residual, x.shape, x.dtype)
    if not 0.0 <= p < 1.0:
        raise ValueError(f"p must be in [0, 1), not {p}")
    for name, value in (("seed", seed), ("stream", stream)):
        if not 0 <= value < 2**64:
            raise ValueError(f"{name} must be in [0, 2**64), not {value}")
    inputs = (x,) if residual is None else (x, residual)
    may_be = out if out is x or out is residual else None
    out = _output("out", out, x.shape, x.dtype, *inputs, may_be=may_be)
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
    losses = np.empty(T, x.dtype)
    library(x.dtype).vidya_linear_cross_entropy_forward(
        pointer(losses), pointer(scratch), pointer(x), pointer(w), pointer(targets),
        T, d, V, len(scratch),
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
    library(x.dtype).vidya_linear_cross_entropy_backward(
        pointer(losses), pointer(dx), pointer(dw), pointer(scratch), pointer(x), pointer(w),
        pointer(targets), T, d, V, len(scratch), scale, 0,
    )  # fmt: skip
    return losses, dx, dw


def _cross_entropy_arguments(
    x: Array, w: Array, targets: Array, chunk: int
) -> tuple[int, int, int, Array]:
    _check("x", x, (None, None), _dtype("x", x))
    T, d = x.shape
    _check("w", w, (None, d), x.dtype)
    V = len(w)
    _check_ids("targets", targets, (T,), V, -(2**31))
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, not {chunk}")
    return T, d, V, np.empty((min(chunk, T), V), x.dtype)


# ---- over flat buffers -----------------------------------------------------


def sum(x: Array) -> float:
    """Sum of all elements, added in double in a fixed order."""
    _check("x", x, _shape("x", x), x.dtype)
    return float(library(x.dtype).vidya_sum(pointer(x), x.size))


def norm(x: Array) -> float:
    """Euclidean norm of all elements, added in double in a fixed order."""
    _check("x", x, _shape("x", x), x.dtype)
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
    _check("grad", grad, _shape("grad", grad), grad.dtype)
    if step < 1:
        raise ValueError(f"step counts from 1, not {step}")
    arrays = {"param": param, "m": m, "v": v}
    for name, array in arrays.items():
        _check(name, array, grad.shape, grad.dtype)
        others = [other for key, other in arrays.items() if key != name]
        _output(name, array, grad.shape, grad.dtype, grad, *others)
    library(grad.dtype).vidya_adam(
        pointer(param), pointer(m), pointer(v), pointer(grad), grad.size,
        lr, beta1, beta2, eps, step, grad_scale,
    )  # fmt: skip
