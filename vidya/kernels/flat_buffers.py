"""Reductions and Adam over the flat buffers that hold all parameters."""

from __future__ import annotations

from vidya.kernels import arguments
from vidya.kernels.arguments import Array
from vidya.kernels.bindings import library, pointer


def sum(x: Array) -> float:
    """Sum of all elements, added in double in a fixed order."""
    arguments.require_real("x", x)
    return float(library(x.dtype).vidya_sum(pointer(x), x.size))


def norm(x: Array) -> float:
    """Euclidean norm of all elements, added in double in a fixed order."""
    arguments.require_real("x", x)
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
    arguments.require_real("grad", grad)
    if step < 1:
        raise ValueError(f"step counts from 1, not {step}")
    state = {"param": param, "m": m, "v": v}
    for name, array in state.items():
        arguments.require(name, array, grad.shape, grad.dtype)
        others = [other for key, other in state.items() if key != name]
        arguments.output(name, array, grad.shape, grad.dtype, grad, *others)
    library(grad.dtype).vidya_adam(
        pointer(param), pointer(m), pointer(v), pointer(grad), grad.size,
        lr, beta1, beta2, eps, step, grad_scale,
    )  # fmt: skip
