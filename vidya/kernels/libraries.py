"""The two compiled libraries of kernels: loading them, and the limits that their C code has."""

from __future__ import annotations

import ctypes
import os

from vidya.errors import UserError


def _preload_openblas() -> None:
    """Load OpenBLAS from its wheel, so that no environment variable is needed.

    The dynamic linker then finds it by its name when the extension asks for it,
    wherever the two were installed. Without the wheel (a build against the
    system's OpenBLAS) there is nothing to do.
    """
    try:
        import scipy_openblas32
    except ImportError:
        return
    path = os.path.join(scipy_openblas32.get_lib_dir(), "libscipy_openblas.so")
    if os.path.exists(path):
        ctypes.CDLL(path)


def _not_usable(reason: str) -> UserError:
    return UserError(f"the C kernels are not usable here ({reason}): run `make` in vidya's folder")


# One built against the system's OpenBLAS loads as it is; one built against the wheel asks for a
# library that is not on the linker's path until it is preloaded.
try:
    from vidya.kernels import _float32 as _float32
    from vidya.kernels import _float64 as _float64
except ImportError:
    _preload_openblas()
    try:
        from vidya.kernels import _float32 as _float32
        from vidya.kernels import _float64 as _float64
    except ImportError as error:  # not built, or built for another Python
        raise _not_usable(str(error)) from None

if _float32.lib.vidya_openblas_get_parallel() == 2:
    raise UserError(
        "this OpenBLAS is built with OpenMP, whose threads would fight with vidya's: "
        "build against the wheel (make without VIDYA_BLAS) or a pthreads OpenBLAS"
    )

try:
    MAX_THREADS: int = _float32.lib.VIDYA_MAX_THREADS
    """Threads that the kernels can use."""
    MAX_HEAD_DIM: int = _float32.lib.VIDYA_MAX_HEAD_DIM
    """Columns of an attention head: blocks of them are kept on the stack."""
    CACHE_BLOCK: int = _float32.lib.VIDYA_CACHE_BLOCK
    """Positions of a block of cached keys."""
    CACHE_PAD: int = _float32.lib.VIDYA_CACHE_PAD
    """Cached values have columns up to a multiple of this."""
    ALIGNMENT: int = _float32.lib.VIDYA_ALIGNMENT
    """Bytes of a cache line: vectors that begin at its multiples never lie across two."""
except AttributeError:  # the C code has changed since
    raise _not_usable("they are older than vidya's Python code") from None
