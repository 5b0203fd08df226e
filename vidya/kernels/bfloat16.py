"""bfloat16, the upper half of a float32, kept in uint16 arrays: NumPy has no such type.

The sign, the eight bits of exponent and the first seven of the fraction: the range of a
float32 with about two and a half decimal digits.
"""

from __future__ import annotations

import numpy as np

from vidya.kernels import arguments
from vidya.kernels.arguments import Array

_QUIET_NAN = 0x40


def to_bf16(x: Array) -> Array:
    """The bfloat16 nearest to each element of x (float32, any shape), as uint16.

    Ties go to the even one; what is beyond the largest becomes infinite; NaN stays NaN
    with its sign and the upper bits of its payload. So do the kernels.
    """
    arguments.require("x", x, None, np.float32)
    bits = x.reshape(-1).view(np.uint32)
    last = bits >> np.uint32(16) & np.uint32(1)
    nearest = (bits + np.uint32(0x7FFF) + last) >> np.uint32(16)
    nan = bits >> np.uint32(16) | np.uint32(_QUIET_NAN)
    half: Array = np.where(np.isnan(x.reshape(-1)), nan, nearest).astype(np.uint16)
    return half.reshape(x.shape)


def from_bf16(h: Array) -> Array:
    """The float32 values of the bfloat16 in h (uint16, any shape): exact."""
    arguments.require("h", h, None, np.uint16)
    bits: Array = h.reshape(-1).astype(np.uint32) << np.uint32(16)
    return bits.view(np.float32).reshape(h.shape)
