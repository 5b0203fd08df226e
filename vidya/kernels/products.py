"""Matrix products: through OpenBLAS, and through vidya's own kernels with more in one go.

`matmul*` multiply and nothing else, at OpenBLAS's speed. `linear*` do what surrounds a
product in a model on the way: RMSNorm or GELU of its input while that is packed, and
residual, dropout or GELU's gradient while the result is in the cache. With
`precision="bf16"` they round both factors to bfloat16 (to nearest, ties to even) and sum
in float32, whatever the processor; has_bf16() says whether that is faster here.

Matrices that stand in bfloat16 are uint16 arrays (`to_bf16`, `from_bf16`).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from vidya.kernels import arguments
from vidya.kernels.arguments import Array
from vidya.kernels.bindings import library, pointer, structure, workspace

Precision = Literal["fp32", "bf16"]

# ---- matrix multiplication -------------------------------------------------


def matmul(x: Array, w: Array, *, out: Array | None = None, accumulate: bool = False) -> Array:
    """Y [m, n] = x [m, k] @ w [n, k].T, added to `out` if `accumulate`."""
    dtype = arguments.require_real("x", x, (None, None))
    m, k = x.shape
    arguments.require("w", w, (None, k), dtype)
    n = len(w)
    return _multiply(library(dtype).vidya_matmul_forward, x, w, (m, n), (m, n, k), out, accumulate)


def matmul_backward_input(
    dy: Array, w: Array, *, out: Array | None = None, accumulate: bool = False
) -> Array:
    """Dx [m, k] = dy [m, n] @ w [n, k], added to `out` if `accumulate`."""
    dtype = arguments.require_real("dy", dy, (None, None))
    m, n = dy.shape
    arguments.require("w", w, (n, None), dtype)
    k = w.shape[1]
    function = library(dtype).vidya_matmul_backward_input
    return _multiply(function, dy, w, (m, k), (m, n, k), out, accumulate)


def matmul_backward_weight(
    dy: Array, x: Array, *, out: Array | None = None, accumulate: bool = False
) -> Array:
    """Dw [n, k] = dy [m, n].T @ x [m, k], added to `out` if `accumulate`."""
    dtype = arguments.require_real("dy", dy, (None, None))
    m, n = dy.shape
    arguments.require("x", x, (m, None), dtype)
    k = x.shape[1]
    function = library(dtype).vidya_matmul_backward_weight
    return _multiply(function, dy, x, (n, k), (m, n, k), out, accumulate)


def _multiply(
    function: Any, left: Array, right: Array, shape: tuple[int, int], sizes: tuple[int, int, int],
    out: Array | None, accumulate: bool,
) -> Array:  # fmt: skip
    """The product of two checked factors by a C function that takes m, n and k."""
    out = arguments.output("out", out, shape, left.dtype, left, right, accumulate=accumulate)
    function(pointer(out), pointer(left), pointer(right), *sizes, int(accumulate))
    return out


# ---- linear layers with what surrounds them ---------------------------------


def linear(
    x: Array, w: Array, *, rstd: Array | None = None, gain: Array | None = None,
    gelu: bool = False, residual: Array | None = None,
    dropout: tuple[float, int, int] | None = None, precision: Precision = "fp32",
    accumulate: bool = False, out: Array | None = None,
) -> Array:  # fmt: skip
    """Y [T, n] = f(x) [T, k] @ w [n, k].T, added to `out` if `accumulate`.

    Args:
        x: [T, k], of w's dtype or bfloat16 (uint16).
        w: [n, k], float32 or float64.
        rstd: [T]; with `gain`, f normalises: f(x) = x * rstd * gain (`rmsnorm_statistics`
            gives rstd).
        gain: [k].
        gelu: f(x) = gelu(x), after the normalisation if there is one.
        residual: [T, n], of w's dtype; the result is residual + dropout(product) then.
        dropout: (p, seed, stream) of that dropout, the mask being that of `dropout_add`;
            None keeps everything.
        precision: "bf16" rounds f(x) and w to bfloat16; not with float64.
        accumulate: add the product to `out`; not with `residual`.
        out: of w's dtype, or uint16: then the result is rounded to bfloat16 as it is
            stored. It may not overlap another argument.
    """
    dtype = arguments.real_dtype("w", w)
    arguments.require_stored("x", x, (None, None), dtype)
    T, k = x.shape
    arguments.require("w", w, (None, k), dtype)
    n = len(w)
    source = _input("x", x, dtype, rstd, gain, gelu)
    fields: dict[str, Any] = {"accumulate": int(accumulate)}
    if residual is not None:
        arguments.require("residual", residual, (T, n), dtype)
        p, seed, stream = (0.0, 0, 0) if dropout is None else dropout
        arguments.require_mask(p, seed, stream)
        fields.update(residual=pointer(residual), p=p, seed=seed, stream=stream)
    elif dropout is not None:
        raise ValueError("dropout is of what is added to a residual: give residual (or zeros)")
    y = _output(out, (T, n), dtype, accumulate, residual is not None, x, w, rstd, gain, residual)
    to = structure("vidya_output", dtype, data=pointer(y), half=arguments.is_bf16(y), **fields)
    room = workspace(dtype, T, [(n, k)])
    library(dtype).vidya_linear_forward(
        to, source, pointer(w), T, n, k, _rounds(precision, dtype), pointer(room)
    )
    return y


def linear_backward_input(
    dy: Array, w: Array, *, gelu_of: Array | None = None, gelu_out: Array | None = None,
    precision: Precision = "fp32", accumulate: bool = False, out: Array | None = None,
) -> Array:  # fmt: skip
    """Dx [T, k] = dy [T, n] @ w [n, k], times gelu'(gelu_of) if that is given.

    Args:
        dy: [T, n], of w's dtype or bfloat16 (uint16).
        w: [n, k], float32 or float64.
        gelu_of: [T, k], what went into the GELU before this layer; of w's dtype or
            uint16, and left as it is unless it is `gelu_out`, too.
        gelu_out: [T, k], of gelu_of's dtype, receives gelu(gelu_of), which costs next to
            nothing here and is what `linear_backward_weight` needs; may be gelu_of.
        precision: "bf16" rounds dy and w to bfloat16; not with float64.
        accumulate: add to `out`; not with `gelu_of`.
        out: of w's dtype or uint16; of gelu_of's dtype where that is given.
    """
    dtype = arguments.real_dtype("w", w)
    arguments.require_stored("dy", dy, (None, None), dtype)
    T, n = dy.shape
    arguments.require("w", w, (n, None), dtype)
    k = w.shape[1]
    source = _input("dy", dy, dtype)
    if gelu_of is not None:
        arguments.require_stored("gelu_of", gelu_of, (T, k), dtype)
    elif gelu_out is not None:
        raise ValueError("gelu_out needs gelu_of")
    stored = dtype if gelu_of is None else gelu_of.dtype
    dx = _output(out, (T, k), stored, accumulate, gelu_of is not None, dy, w, gelu_of)
    half = _rounds(precision, dtype)
    fields: dict[str, Any] = {"accumulate": int(accumulate)}
    if gelu_of is not None:
        activated = _activated(gelu_of, gelu_out, dx, dy, w)  # alive until the call is over
        fields["gelu_of"] = pointer(activated)
    to = structure("vidya_output", dtype, data=pointer(dx), half=arguments.is_bf16(dx), **fields)
    room = workspace(dtype, T, [(n, k)])
    library(dtype).vidya_linear_backward_input(to, source, pointer(w), T, n, k, half, pointer(room))
    return dx


def linear_backward_weight(
    dy: Array, x: Array, *, rstd: Array | None = None, gain: Array | None = None,
    gelu: bool = False, precision: Precision = "fp32", accumulate: bool = False,
    out: Array | None = None,
) -> Array:  # fmt: skip
    """Dw [n, k] = dy [T, n].T @ f(x) [T, k], added to `out` if `accumulate`.

    dy and x are of one dtype or bfloat16 (uint16), each by itself; f, `rstd`, `gain` and
    `gelu` are as in `linear`. The result is float32, or float64 where any argument is.
    `precision="bf16"` rounds dy and f(x) to bfloat16; not with float64.
    """
    given = (dy, x, rstd, gain, out)
    double = any(isinstance(a, np.ndarray) and a.dtype == arguments.FLOAT64 for a in given)
    dtype = arguments.FLOAT64 if double else arguments.FLOAT32
    arguments.require_stored("dy", dy, (None, None), dtype)
    T, n = dy.shape
    arguments.require_stored("x", x, (T, None), dtype)
    k = x.shape[1]
    left, right = _input("dy", dy, dtype), _input("x", x, dtype, rstd, gain, gelu)
    inputs = [array for array in (dy, x, rstd, gain) if array is not None]
    dw = arguments.output("out", out, (n, k), dtype, *inputs, accumulate=accumulate)
    half, room = _rounds(precision, dtype), workspace(dtype, T, [(n, k)])
    library(dtype).vidya_linear_backward_weight(
        pointer(dw), left, right, T, n, k, half, int(accumulate), pointer(room)
    )
    return dw


def _rounds(precision: str, dtype: np.dtype[Any]) -> int:
    """The flag that makes the C functions round the factors to bfloat16."""
    if precision not in ("fp32", "bf16"):
        raise ValueError(f"precision must be fp32 or bf16, not {precision!r}")
    if precision == "bf16" and dtype != arguments.FLOAT32:
        raise TypeError(f"precision bf16 is for float32 arrays, not {dtype}")
    return int(precision == "bf16")


def _input(
    name: str, x: Array, dtype: np.dtype[Any], rstd: Array | None = None,
    gain: Array | None = None, gelu: bool = False,
) -> Any:  # fmt: skip
    """The C description of a factor, whose own shape has been checked."""
    fields: dict[str, Any] = {"data": pointer(x), "half": arguments.is_bf16(x), "gelu": int(gelu)}
    if rstd is not None and gain is not None:
        arguments.require("rstd", rstd, (x.shape[0],), dtype)
        arguments.require("gain", gain, (x.shape[1],), dtype)
        fields.update(rstd=pointer(rstd), gain=pointer(gain))
    elif rstd is not None or gain is not None:
        raise ValueError(f"rstd and gain normalise {name} together: give both or neither")
    return structure("vidya_input", dtype, **fields)


def _output(
    out: Array | None, shape: tuple[int, ...], dtype: np.dtype[Any],
    accumulate: bool, fused: bool, *inputs: Array | None,
) -> Array:  # fmt: skip
    """`out`, checked, or a new array; `fused`: a residual or GELU's gradient comes behind.

    Only a plain sum in full precision can be added to what is there.
    """
    half = arguments.is_bf16(out)
    if accumulate and (fused or half):
        raise ValueError("accumulate takes the plain product, in float32 or float64")
    if fused and half and dtype != arguments.BFLOAT16:
        raise TypeError(f"out must be {dtype} here, not uint16")
    given = [array for array in inputs if array is not None]
    stored = arguments.BFLOAT16 if half else dtype
    return arguments.output("out", out, shape, stored, *given, accumulate=accumulate)


def _activated(gelu_of: Array, gelu_out: Array | None, *others: Array) -> Array:
    """The array in which gelu_of becomes gelu(gelu_of)."""
    if gelu_out is None:
        return np.array(gelu_of)
    may_be = gelu_of if gelu_out is gelu_of else None
    arguments.output(
        "gelu_out", gelu_out, gelu_of.shape, gelu_of.dtype, gelu_of, *others, may_be=may_be
    )
    if gelu_out is not gelu_of:
        gelu_out[...] = gelu_of
    return gelu_out


# ---- final projection + cross-entropy --------------------------------------


def linear_cross_entropy(
    x: Array, w: Array, targets: Array, *, chunk: int = 256, precision: Precision = "fp32"
) -> Array:
    """Losses [T] = -log softmax(x @ w.T)[targets], in nats; 0 where targets < 0.

    x [T, d], w [V, d], targets [T] int32 below V; negative ones are not counted.
    Logits exist for `chunk` tokens at a time. `precision="bf16"` rounds the factors of
    the products to bfloat16.
    """
    T, d, V, scratch = _cross_entropy_arguments(x, w, targets, chunk)
    half, losses = _rounds(precision, x.dtype), np.empty(T, x.dtype)
    room = workspace(x.dtype, T, [(V, d)])
    library(x.dtype).vidya_linear_cross_entropy_forward(
        pointer(losses), pointer(scratch), pointer(x), pointer(w), pointer(targets),
        T, d, V, len(scratch), half, pointer(room),
    )  # fmt: skip
    return losses


def linear_cross_entropy_backward(
    x: Array, w: Array, targets: Array, *, scale: float = 1.0, chunk: int = 256,
    precision: Precision = "fp32",
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Losses [T] as `linear_cross_entropy` gives, dx [T, d] and dw [V, d].

    The gradients are those of sum(losses) * scale; scale is 1 / T for a mean.
    """
    T, d, V, scratch = _cross_entropy_arguments(x, w, targets, chunk)
    half, losses = _rounds(precision, x.dtype), np.empty(T, x.dtype)
    room = workspace(x.dtype, T, [(V, d)])
    dx, dw = np.empty_like(x), np.empty_like(w)
    library(x.dtype).vidya_linear_cross_entropy_backward(
        pointer(losses), pointer(dx), pointer(dw), pointer(scratch), pointer(x), pointer(w),
        pointer(targets), T, d, V, len(scratch), scale, 0, half, pointer(room),
    )  # fmt: skip
    return losses, dx, dw


def _cross_entropy_arguments(
    x: Array, w: Array, targets: Array, chunk: int
) -> tuple[int, int, int, Array]:
    arguments.require_real("x", x, (None, None))
    T, d = x.shape
    arguments.require("w", w, (None, d), x.dtype)
    V = len(w)
    arguments.require_ids("targets", targets, (T,), V, -(2**31))
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, not {chunk}")
    return T, d, V, np.empty((min(chunk, T), V), x.dtype)
