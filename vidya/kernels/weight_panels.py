"""Weights in panels, for generation: as they are, bfloat16, and int8 with a scale a row.

They lie in panels as the micro-kernels of the instruction set in use read them, so they
are not arrays to look into: `CompressedWeights.linear` multiplies, `decoded` shows what
values they stand for. vidya/generation/decoder.py runs whole models on them.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike

from vidya.kernels import allocation, arguments
from vidya.kernels.arguments import Array
from vidya.kernels.bindings import get_isa, library, pointer, structure, workspace
from vidya.kernels.libraries import ALIGNMENT

Compression = Literal["fp32", "bf16", "int8"]
_KINDS = {"fp32": "VIDYA_PANELS", "bf16": "VIDYA_BF16", "int8": "VIDYA_INT8"}


def panel_bytes(shape: tuple[int, int], kind: Compression, dtype: DTypeLike = np.float32) -> int:
    """Bytes of the panels of a matrix [n, k] of `dtype`, a multiple of a cache line's."""
    lib = library(dtype)
    size = int(lib.vidya_compressed_bytes(*shape, int(getattr(lib, _KINDS[kind]))))
    return -(-size // ALIGNMENT) * ALIGNMENT


class CompressedWeights:
    """A matrix of weights [n, k] in its own numbers ("fp32"), bfloat16 (to nearest) or int8.

    int8 keeps, of each row, max|w| / 127 and the multiples of that nearest to its numbers.
    After another instruction set was chosen (`set_isa`) it is of no use any more.
    """

    def __init__(self, w: Array, kind: Compression, room: Array | None = None) -> None:
        """Compress w [n, k], float32 (or, in its own numbers, float64).

        Args:
            w: the matrix.
            kind: what of.
            room: where to, uint8 of `panel_bytes`, beginning at a cache line; default: new.

        Raises:
            ValueError, TypeError: `kind` is unknown, or w is no such matrix.
        """
        if kind not in _KINDS:
            raise ValueError(f"weights are kept in fp32, bf16 or int8, not {kind!r}")
        self._dtype = arguments.real_dtype("w", w) if kind == "fp32" else arguments.FLOAT32
        arguments.require("w", w, (None, None), self._dtype)
        self.shape: tuple[int, int] = w.shape
        self._lib = library(self._dtype)
        self._isa = get_isa()
        self._kind = int(getattr(self._lib, _KINDS[kind]))
        size = panel_bytes(self.shape, kind, self._dtype)
        self._panels = allocation.aligned_zeros(size, np.uint8) if room is None else room
        arguments.require("room", self._panels, (size,), np.uint8)
        self._scales = np.zeros(len(w), np.float32) if kind == "int8" else None
        self.fill(w)

    def fill(self, w: Array) -> None:
        """Compress another matrix of the same shape, into the same place."""
        self.require_isa()
        arguments.require("w", w, self.shape, self._dtype)
        self._lib.vidya_compress(
            pointer(self._panels), pointer(self._scales), pointer(w), *self.shape, self._kind
        )

    def fields(self) -> dict[str, Any]:
        """The fields of the C structure `vidya_weights`, valid while this object lives."""
        n, k = self.shape
        data, scales = pointer(self._panels), pointer(self._scales)
        return {"data": data, "scales": scales, "n": n, "k": k, "kind": self._kind}

    def linear(self, x: Array, *, out: Array | None = None) -> Array:
        """Y [T, n] = x [T, k] @ w.T, x and y of the dtype of w."""
        self.require_isa()
        (n, k), dtype = self.shape, self._dtype
        arguments.require("x", x, (None, k), dtype)
        y = arguments.output("out", out, (len(x), n), dtype, x)
        room = workspace(dtype, len(x), [(n, k)])
        source = structure("vidya_input", dtype, data=pointer(x))
        to = structure("vidya_output", dtype, data=pointer(y))
        weights = structure("vidya_weights", dtype, **self.fields())
        self._lib.vidya_linear_weights(to, source, weights, len(x), pointer(room))
        return y

    def decoded(self) -> Array:
        """The matrix [n, k] that the products see."""
        return np.ascontiguousarray(self.linear(np.eye(self.shape[1], dtype=self._dtype)).T)

    def require_isa(self) -> None:
        """Raise ValueError if the panels are of another instruction set than the one in use."""
        if get_isa() != self._isa:
            raise ValueError(
                f"compressed for {self._isa}, and {get_isa()} is in use: compress the weights again"
            )

    def nbytes(self) -> int:
        """Bytes that it takes."""
        return self._panels.nbytes + (0 if self._scales is None else self._scales.nbytes)
