"""Calling the compiled kernels: pointers into arrays, C structures, threads, instruction set.

The C functions are those of csrc/vidya.h.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from vidya.kernels import allocation, arguments
from vidya.kernels.arguments import Array
from vidya.kernels.libraries import MAX_THREADS, _float32, _float64
from vidya.system import cpu_cores

NULL = _float32.ffi.NULL

_C_TYPES = {
    "f4": "float *", "f8": "double *", "i4": "int32_t *", "i8": "int64_t *", "u2": "uint16_t *",
    "u1": "uint8_t *",
}  # fmt: skip


# ---- pointers ---------------------------------------------------------------


def library(dtype: DTypeLike = np.float32) -> Any:
    """The C functions of csrc/vidya.h, compiled for `dtype` (float32 or float64)."""
    return _module(np.dtype(dtype)).lib


def pointer(array: Array | None) -> Any:
    """A C pointer to the array's data, NULL for None. The caller keeps the array alive."""
    if array is None:
        return NULL
    module = _float64 if array.dtype == arguments.FLOAT64 else _float32
    return module.ffi.cast(_C_TYPES[array.dtype.str[1:]], array.ctypes.data)


def structure(name: str, dtype: DTypeLike, **fields: Any) -> Any:
    """A C structure of csrc/vidya.h, such as `vidya_input`, for `library(dtype)`.

    Fields are numbers and pointers; what they point to must be kept alive elsewhere.
    """
    return _module(np.dtype(dtype)).ffi.new(f"{name} *", fields)


def structures(name: str, dtype: DTypeLike, items: list[dict[str, Any]]) -> Any:
    """A C array of structures of csrc/vidya.h, whose fields are as those of `structure`."""
    return _module(np.dtype(dtype)).ffi.new(f"{name}[]", items)


def workspace(dtype: DTypeLike, T: int, weights: Iterable[tuple[int, ...]]) -> Array:
    """Room for the packed factors of linear layers: one call at a time may use it.

    Enough for every product of up to T rows with weights of these shapes [out, in].
    """
    lib = library(dtype)
    size = max(lib.vidya_workspace_bytes(T, n, k) for n, k in weights)
    return allocation.aligned_zeros(size, np.uint8)


def _module(dtype: np.dtype[Any]) -> Any:
    if dtype == arguments.FLOAT32:
        return _float32
    if dtype == arguments.FLOAT64:
        return _float64
    raise TypeError(f"kernels take float32 or float64 arrays, not {dtype}")


# ---- threads, instruction set, BLAS ----------------------------------------


def set_num_threads(n: int) -> None:
    """Use `n` threads in every kernel, matrix multiplication included.

    Results are bit-identical whatever `n` is. OpenBLAS is called single-threaded
    on tiles by this one pool, so there is no second pool to govern; its own is
    reached by `openblas_set_num_threads`.

    Raises ValueError unless 1 <= n <= `MAX_THREADS`.
    """
    _require_threads(n)
    available = cpu_cores.usable_cores()
    _float32.lib.vidya_set_num_threads(n, available)
    _float64.lib.vidya_set_num_threads(n, available)


def _require_threads(n: int) -> None:
    if not 1 <= n <= MAX_THREADS:
        raise ValueError(f"threads must be between 1 and {MAX_THREADS}, not {n}")


def get_num_threads() -> int:
    """Threads that the kernels use."""
    return int(_float32.lib.vidya_get_num_threads())


def openblas_set_num_threads(n: int) -> None:
    """Set the threads of OpenBLAS's own pool, for code that calls it directly.

    vidya's kernels set it back to 1, which is what their tiles need.
    """
    _require_threads(n)
    _float32.lib.vidya_openblas_set_num_threads(n)


def openblas_get_num_threads() -> int:
    """Threads of OpenBLAS's own pool."""
    return int(_float32.lib.vidya_openblas_get_num_threads())


def openblas_config() -> str:
    """OpenBLAS's version, build options and the core type it chose."""
    return str(_float32.ffi.string(_float32.lib.vidya_openblas_config()).decode())


def get_isa() -> str:
    """Instruction set of the micro-kernels in use.

    "avx512_bf16", "avx512", "avx2", "generic", or "pairs", which tests choose: it keeps
    bfloat16 as "avx512_bf16" does and multiplies it with ordinary instructions.
    """
    return str(_float32.ffi.string(_float32.lib.vidya_get_isa()).decode())


def set_isa(name: str) -> None:
    """Choose another instruction set (for tests); ValueError if the processor lacks it."""
    for module in (_float32, _float64):
        if module.lib.vidya_set_isa(name.encode()) != 0:
            raise ValueError(f"this processor or build has no '{name}' micro-kernels")


def has_bf16() -> bool:
    """Whether the micro-kernels in use multiply bfloat16 faster than float32."""
    return bool(_float32.lib.vidya_has_bf16())
