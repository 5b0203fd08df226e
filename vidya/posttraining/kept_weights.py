"""Copies of a model's weights: a model that stays as it is, and a state to return to."""

from __future__ import annotations

import numpy as np

from vidya.model.transformer import Array, Model


def frozen_copy(model: Model) -> Model:
    """A model of the same weights, which stays as it is while `model` learns."""
    copy = Model(
        model.config, dtype=model.dtype, max_tokens=model.max_tokens, precision=model.precision
    )
    copy.flat[...] = model.flat
    return copy


class KeptWeights:
    """What learning changes, as it was after some step; one state is kept at a time.

    Attributes:
        step: of the state that is kept; None: none is.
    """

    def __init__(self, *changing: Array) -> None:
        """`changing` are the arrays that learning writes to; nothing is kept yet."""
        self._changing = changing
        self._copies: tuple[Array, ...] = ()
        self.step: int | None = None

    def keep(self, step: int) -> None:
        """Copy the arrays as they are after `step`, over what was kept before."""
        if not self._copies:
            self._copies = tuple(np.empty_like(values) for values in self._changing)
        for values, copy in zip(self._changing, self._copies, strict=True):
            copy[...] = values
        self.step = step

    def take_back(self) -> int:
        """Make the arrays exactly what was kept, and return the step of that.

        Raises:
            ValueError: nothing is kept, or it was forgotten.
        """
        if self.step is None:
            raise ValueError("the weights to return to are not known any more")
        for values, copy in zip(self._changing, self._copies, strict=True):
            values[...] = copy
        return self.step

    def forget(self) -> None:
        """Keep nothing any more."""
        self.step = None
