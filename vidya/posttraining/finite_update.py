"""An update of the weights that is made only if the loss and the gradients are finite."""

from __future__ import annotations

import math

from vidya.errors import UserError
from vidya.model.adam import Adam


class NotFiniteError(UserError):
    """A loss or a gradient is NaN or infinite; the text says which: "the loss is nan"."""


def update_if_finite(optimizer: Adam, loss: float, rate: float) -> float:
    """Make a step of Adam on the gradients that are there.

    Args:
        optimizer: of the model that holds the gradients.
        loss: what they are the gradients of.
        rate: learning rate.

    Returns:
        The norm of the gradients, before they were scaled down.

    Raises:
        NotFiniteError: the weights and the optimizer are as they were.
    """
    norm = optimizer.gradient_norm()
    for name, value in (("loss", loss), ("gradient norm", norm)):
        if not math.isfinite(value):
            raise NotFiniteError(f"the {name} is {value}")
    optimizer.update(rate, norm)
    return norm
