"""Declares the two cffi extensions (API mode): the kernels in float and in double.

Both come from the same sources; the C declarations are read from the header
itself, so that there is one description of the interface.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]
FLAGS = ["-std=gnu11", "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"]


def _pkg_config(option: str) -> list[str]:
    """What pkg-config says of the system's OpenBLAS, as a list of flags."""
    try:
        done = subprocess.run(
            ["pkg-config", option, "openblas"], check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        raise SystemExit(
            "error: VIDYA_BLAS=system needs pkg-config and OpenBLAS's development files "
            "(Debian: apt-get install pkg-config libopenblas-dev)"
        ) from None
    return done.stdout.split()


def _blas() -> tuple[list[str], list[str]]:
    """Compile and link flags of OpenBLAS: the wheel's, or with VIDYA_BLAS=system pkg-config's."""
    choice = os.environ.get("VIDYA_BLAS", "wheel")
    if choice == "system":
        return _pkg_config("--cflags"), _pkg_config("--libs")
    if choice != "wheel":
        raise SystemExit(f"error: VIDYA_BLAS must be 'wheel' or 'system', not '{choice}'")
    import scipy_openblas32

    return (
        ["-DVIDYA_BLAS_PREFIX=scipy_", f"-I{scipy_openblas32.get_include_dir()}"],
        [f"-L{scipy_openblas32.get_lib_dir()}", "-lscipy_openblas"],
    )


def _declarations(real: str) -> str:
    """The part of vidya.h between its marks, with vd_real spelled out."""
    text = (CSRC / "vidya.h").read_text(encoding="utf-8")
    api = text.split("/* BEGIN API */")[1].split("/* END API */")[0]
    return re.sub(r"\bvd_real\b", real, api)


def _builder(name: str, real: str, defines: list[str]) -> FFI:
    blas_compile, blas_link = _blas()
    extra = os.environ.get("VIDYA_CFLAGS", "").split()
    builder = FFI()
    builder.cdef(_declarations(real))
    builder.set_source(
        name,
        '#include "vidya.h"',
        sources=sorted(os.path.relpath(path, ROOT) for path in CSRC.glob("*.c")),
        depends=sorted(os.path.relpath(path, ROOT) for path in CSRC.glob("*.h")),
        include_dirs=["csrc"],
        extra_compile_args=[*FLAGS, *WARNINGS, *blas_compile, *defines, *extra],
        extra_link_args=[*blas_link, "-lm", "-lpthread", *extra],
    )
    return builder


def float_builder() -> FFI:
    """vidya._kernels: vd_real is float."""
    return _builder("vidya._kernels", "float", [])


def double_builder() -> FFI:
    """vidya._kernels_f64: vd_real is double."""
    return _builder("vidya._kernels_f64", "double", ["-DVIDYA_DOUBLE"])
