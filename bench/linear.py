"""Calls of the linear layers' C functions as the model makes them, to be timed.

Every role of a layer (`attn_qkv`, `attn_out`, `ffn_up`, `ffn_down`) has its own
surroundings: RMSNorm or GELU on the way in, residual + dropout or GELU's gradient on
the way out, and with bfloat16 what is stored as such. They are part of the call; only
the product's operations are counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidya import kernels

Array = NDArray[Any]
Call = Callable[[], object]
DRAWN = 999_983
"""Numbers that are drawn; a prime, so that rows differ."""
KINDS = ("linear_forward", "linear_backward_input", "linear_backward_weight")
ROLES = ("attn_qkv", "attn_out", "ffn_up", "ffn_down")
NORMALISED, GELU, RESIDUAL = ("attn_qkv", "ffn_up"), ("ffn_down",), ("attn_out", "ffn_down")


def draw(*shape: int) -> Array:
    """Normal numbers, the same at every call, float32; they repeat in big arrays."""
    count = min(DRAWN, math.prod(shape))
    return np.resize(np.random.default_rng(0).standard_normal(count, np.float32), shape)


def to_bf16(x: Array) -> Array:
    """Float32 as bfloat16 in uint16, cut off."""
    return (x.view(np.uint32) >> 16).astype(np.uint16)


def has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 faster than float32."""
    return bool(kernels.library().vidya_has_bf16())


def shape_of(role: str, d: int) -> tuple[int, int]:
    """Rows and columns [out, in] of a role's weights in a model of width d."""
    return {"attn_qkv": (3 * d, d), "attn_out": (d, d), "ffn_up": (4 * d, d),
            "ffn_down": (d, 4 * d)}[role]  # fmt: skip


class Layer:
    """The three products of one role's layer on T tokens."""

    def __init__(self, role: str, T: int, d: int, precision: str) -> None:
        self.T, self.role, self.half = T, role, int(precision == "bf16")
        self.n, self.k = shape_of(role, d)
        self.w, self.dw = draw(self.n, self.k), draw(self.n, self.k)
        self.x = self._stored(draw(T, self.k), role in ("attn_out", "ffn_down"))
        self.y = self._stored(draw(T, self.n), role == "ffn_up")
        self.dx = self._stored(draw(T, self.k), role == "ffn_down")
        self.rstd, self.gain, self.residual = draw(T) ** 2, draw(self.k), draw(T, self.n)
        self.workspace = kernels.workspace(np.float32, T, [(self.n, self.k)])

    def _stored(self, array: Array, as_half: bool) -> Array:
        return to_bf16(array) if as_half and self.half else array

    def call(self, kind: str) -> Call:
        """A call of "linear_forward", "linear_backward_input" or "linear_backward_weight"."""
        function = getattr(kernels.library(), f"vidya_{kind}")
        x, dy = self._input(), _input(self.y)
        weights, to_dw = kernels.pointer(self.w), kernels.pointer(self.dw)
        sizes, room = (self.T, self.n, self.k, self.half), kernels.pointer(self.workspace)
        arguments: tuple[Any, ...] = {
            "linear_forward": (self._result(), x, weights, *sizes, room),
            "linear_backward_input": (self._input_gradient(), dy, weights, *sizes, room),
            "linear_backward_weight": (to_dw, dy, _input(self.x), *sizes, 0, room),
        }[kind]
        return lambda: (function(*arguments), self)[0]  # the arrays live as long as the call

    def _input(self) -> Any:
        if self.role in NORMALISED:
            scales = {"rstd": kernels.pointer(self.rstd), "gain": kernels.pointer(self.gain)}
            return _input(self.x, **scales)
        return _input(self.x, gelu=int(self.role in GELU))

    def _result(self) -> Any:
        if self.role not in RESIDUAL:
            return _output(self.y)
        return _output(self.y, residual=kernels.pointer(self.residual), p=0.1, seed=1, stream=1)

    def _input_gradient(self) -> Any:
        if self.role not in GELU:
            return _output(self.dx)
        # GELU works in place on what is here, at every call again: it stays finite
        return _output(self.dx, gelu_of=kernels.pointer(self.x))


def _input(array: Array, **fields: Any) -> Any:
    half = int(array.dtype == np.uint16)
    data = kernels.pointer(array)
    return kernels.structure("vidya_input", np.float32, data=data, half=half, **fields)


def _output(array: Array, **fields: Any) -> Any:
    half = int(array.dtype == np.uint16)
    data = kernels.pointer(array)
    return kernels.structure("vidya_output", np.float32, data=data, half=half, **fields)


def plain_product(m: int, n: int, k: int, precision: str) -> Call:
    """A call of y [m, n] = x [m, k] @ w [n, k].T with nothing around it, giving y, x, w.

    With "bf16" x is stored as bfloat16.
    """
    half = int(precision == "bf16")
    x, w, y = draw(m, k), draw(n, k), np.empty((m, n), np.float32)
    x = to_bf16(x) if half else x
    room = kernels.workspace(np.float32, m, [(n, k)])
    keep = (y, x, w, room)
    arguments = (_output(y), _input(x), kernels.pointer(w), m, n, k, half, kernels.pointer(room))
    function = kernels.library().vidya_linear_forward
    return lambda: (function(*arguments), keep)[1]
