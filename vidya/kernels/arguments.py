"""What a kernel demands of the arrays it is given, checked before a pointer goes down.

Each check raises `TypeError` for a wrong type and `ValueError` for a wrong shape,
layout, overlap or value, and names the argument.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from vidya.kernels.libraries import MAX_HEAD_DIM

Array = NDArray[Any]
FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)
BFLOAT16 = np.dtype(np.uint16)
"""How bfloat16 is kept: NumPy has no such type."""


def real_dtype(name: str, array: Array) -> np.dtype[Any]:
    """The dtype that decides which library a call goes to."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, not {type(array).__name__}")
    if array.dtype not in (FLOAT32, FLOAT64):
        raise TypeError(f"{name} must be float32 or float64, not {array.dtype}")
    return array.dtype


def require_real(
    name: str, array: Array, shape: tuple[int | None, ...] | None = None
) -> np.dtype[Any]:
    """The dtype, float32 or float64, of an array that passes `require` otherwise."""
    dtype = real_dtype(name, array)
    require(name, array, shape, dtype)
    return dtype


def require(
    name: str, array: Array, shape: tuple[int | None, ...] | None, dtype: DTypeLike
) -> None:
    """Raise unless `array` is contiguous, of `dtype` and of `shape`.

    A length of None may be any, and so may a shape of None.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, not {type(array).__name__}")
    if array.dtype != np.dtype(dtype):
        raise TypeError(f"{name} must be {np.dtype(dtype)}, not {array.dtype}")
    if shape is not None and (
        array.ndim != len(shape)
        or any(want not in (None, have) for want, have in zip(shape, array.shape, strict=True))
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


def require_stored(
    name: str, array: Array, shape: tuple[int | None, ...], dtype: DTypeLike
) -> None:
    """As `require`, for an array that may be of `dtype` or bfloat16 (uint16)."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, not {type(array).__name__}")
    if array.dtype not in (np.dtype(dtype), BFLOAT16):
        raise TypeError(f"{name} must be {np.dtype(dtype)} or uint16 (bf16), not {array.dtype}")
    require(name, array, shape, array.dtype)


def is_bf16(array: Array | None) -> bool:
    """Whether an argument is an array of bfloat16."""
    return isinstance(array, np.ndarray) and array.dtype == BFLOAT16


def output(
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
    require(name, out, shape, dtype)
    if not out.flags.writeable:
        raise ValueError(f"{name} is read-only")
    for array in inputs:
        if array is not may_be and np.may_share_memory(out, array):
            raise ValueError(f"{name} must not overlap the inputs")
    return out


def require_ids(
    name: str, ids: Array, shape: tuple[int | None, ...], below: int, least: int
) -> None:
    """Raise unless `ids` are int32, of `shape`, and all in [least, below)."""
    require(name, ids, shape, np.int32)
    low, high = int(ids.min()), int(ids.max())
    if low < least or high >= below:
        raise ValueError(f"{name} must lie in [{least}, {below}), found {low} to {high}")


def require_mask(p: float, seed: int, stream: int) -> None:
    """Raise unless these choose a dropout mask: a rate below 1 and two 64-bit numbers."""
    if not 0.0 <= p < 1.0:
        raise ValueError(f"p must be in [0, 1), not {p}")
    for name, value in (("seed", seed), ("stream", stream)):
        if not 0 <= value < 2**64:
            raise ValueError(f"{name} must be in [0, 2**64), not {value}")


def require_offsets(offsets: Array, tokens: int) -> None:
    """Raise unless `offsets` (int64) rise from 0 to the number of tokens."""
    require("offsets", offsets, (None,), np.int64)
    ends = len(offsets) >= 2 and offsets[0] == 0 and offsets[-1] == tokens
    if not ends or np.any(offsets[1:] < offsets[:-1]):
        raise ValueError(f"offsets must rise from 0 to the number of tokens, {tokens}")


def head_columns(width: int, n_head: int) -> int:
    """Columns a head, for `n_head` heads over `width` columns."""
    if n_head < 1 or width % n_head:
        raise ValueError(f"{width} columns cannot be split into {n_head} heads")
    head_dim = width // n_head
    if head_dim % 2 or not 0 < head_dim <= MAX_HEAD_DIM:
        raise ValueError(f"head_dim must be even and at most {MAX_HEAD_DIM}, not {head_dim}")
    return head_dim
