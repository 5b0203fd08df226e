"""Memory for arrays: aligned for vector instructions, or on large pages."""

from __future__ import annotations

import contextlib
import math
import mmap

import numpy as np
from numpy.typing import DTypeLike

from vidya.kernels.arguments import Array
from vidya.kernels.libraries import ALIGNMENT


def aligned_zeros(shape: tuple[int, ...] | int, dtype: DTypeLike) -> Array:
    """A new array of zeros that begins at a cache line; untouched, it takes no memory."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) if isinstance(shape, tuple) else shape
    room = np.zeros(size * dtype.itemsize + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + size * dtype.itemsize].view(dtype).reshape(shape)


def large_zeros(size: int) -> Array:
    """Zeros, [size] uint8, for numbers that are read through and through, step after step.

    On large pages where the system has them: a core then finds its way through memory
    about a sixth faster. Begins at a page.

    Raises:
        MemoryError: the system has no room of that size.
    """
    try:
        room = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError) as error:
        raise MemoryError(f"no memory for {size:,} bytes") from error
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without them
            room.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(room, np.uint8)[:size]
