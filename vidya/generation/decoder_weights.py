"""The matrices of a model as a decoder reads them: the model's own, or copied into panels."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidya import kernels
from vidya.generation.precision import WeightPrecision
from vidya.kernels.allocation import large_zeros
from vidya.model.transformer import Model

Array = NDArray[Any]


class DecoderWeights:
    """The matrices of a model, for products of tokens with them.

    Attributes:
        fields: by name, the fields of the C structure `vidya_weights`.
    """

    def __init__(self, model: Model, precision: WeightPrecision, *, in_place: bool) -> None:
        """Make those in fewer bytes; those in fp32 are the model's own until `make`."""
        self._matrices = {n: p for n, p in model.parameters.items() if p.ndim == 2}
        self._precision = precision
        self._made: dict[str, kernels.CompressedWeights] = {}
        self.fields: dict[str, dict[str, Any]] = {}
        self._room = {} if in_place else self._make_room(model.dtype)
        for name, matrix in self._matrices.items():
            n, k = matrix.shape
            if precision == "fp32":
                self.fields[name] = {"data": kernels.pointer(matrix), "n": n, "k": k}
            else:
                self.make(name)

    def _make_room(self, dtype: np.dtype[Any]) -> dict[str, Array]:
        """One after the other in the order of their use, which the kernels read ahead in."""
        order = sorted(self._matrices, key=lambda name: name == "wte")  # the head comes last
        shapes = [self._matrices[name].shape for name in order]
        sizes = [kernels.panel_bytes(shape, self._precision, dtype) for shape in shapes]
        places = np.split(large_zeros(sum(sizes)), np.cumsum(sizes)[:-1])
        return dict(zip(order, places, strict=True))

    def make(self, name: str) -> dict[str, Any]:
        """Copy a matrix into panels; returns the fields of its C structure from then on."""
        made = kernels.CompressedWeights(self._matrices[name], self._precision, self._room[name])
        self._made[name], self.fields[name] = made, made.fields()
        return self.fields[name]

    def refresh(self) -> None:
        """Copy again what was copied: the model's weights changed."""
        for name, made in self._made.items():
            made.fill(self._matrices[name])

    def require_isa(self) -> None:
        """Raise ValueError if another instruction set is in use than when they were copied."""
        for made in itertools.islice(self._made.values(), 1):  # all are of the same
            made.require_isa()

    def nbytes(self) -> int:
        """With room for those that are not made yet."""
        scales = sum(made.nbytes() - self._room[n].nbytes for n, made in self._made.items())
        return scales + sum(room.nbytes for room in self._room.values())
