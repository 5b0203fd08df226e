"""Declares the two cffi extensions (API mode): the kernels in float and in double.

Both come from the same sources; the C declarations are read from the header
itself, so that there is one description of the interface. Runs before anything is
installed: nothing but the standard library and, to declare, cffi.

Environment: VIDYA_BLAS ('wheel' or 'system'), VIDYA_CFLAGS (appended to the flags of
compiler and linker), CC.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cffi import FFI

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]
FLAGS = ["-std=gnu11", "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"]
# The two extensions define the same names: hidden, neither can ever call into the other.
LIBRARY_FLAGS = ["-fvisibility=hidden"]
DOUBLE = ["-DVIDYA_DOUBLE"]
PREFIX = ["-DVIDYA_BLAS_PREFIX=scipy_"]


def find_compiler() -> str | None:
    """The C compiler's command: $CC, else the one Python was built with, else gcc, clang or cc."""
    if os.environ.get("CC"):
        return os.environ["CC"]
    built_with = sysconfig.get_config_var("CC") or "cc"
    for command in (built_with, "gcc", "clang", "cc"):
        if shutil.which(shlex.split(command)[0]):
            return command
    return None


def blas_choice() -> str:
    """VIDYA_BLAS: 'wheel' (unless told otherwise) or 'system'."""
    choice = os.environ.get("VIDYA_BLAS") or "wheel"
    if choice not in ("wheel", "system"):
        raise SystemExit(f"error: VIDYA_BLAS must be 'wheel' or 'system', not '{choice}'")
    return choice


def blas_flags() -> tuple[list[str], list[str]]:
    """Compile and link flags of OpenBLAS: the wheel's, or pkg-config's.

    No path to the wheel's library is recorded: vidya/kernels/libraries.py loads it first.
    """
    if blas_choice() == "system":
        return pkg_config("--cflags"), pkg_config("--libs")
    import scipy_openblas32

    return PREFIX, [f"-L{scipy_openblas32.get_lib_dir()}", "-lscipy_openblas"]


def pkg_config(option: str) -> list[str]:
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


def _declarations(real: str) -> str:
    """The part of vidya.h between its marks, with vd_real spelled out."""
    text = (CSRC / "vidya.h").read_text(encoding="utf-8")
    api = text.split("/* BEGIN API */")[1].split("/* END API */")[0]
    return re.sub(r"\bvd_real\b", real, api)


def _builder(name: str, real: str, defines: list[str]) -> FFI:
    from cffi import FFI

    compiler = find_compiler()
    if compiler:
        os.environ["CC"] = compiler  # setuptools reads it: the one Python names may be missing
    blas_compile, blas_link = blas_flags()
    extra = os.environ.get("VIDYA_CFLAGS", "").split()
    builder = FFI()
    builder.cdef(_declarations(real))
    builder.set_source(
        name,
        '#include "vidya.h"',
        sources=sorted(os.path.relpath(path, ROOT) for path in CSRC.glob("*.c")),
        depends=sorted(os.path.relpath(path, ROOT) for path in CSRC.glob("*.h")),
        include_dirs=["csrc"],
        extra_compile_args=[*FLAGS, *WARNINGS, *LIBRARY_FLAGS, *blas_compile, *defines, *extra],
        extra_link_args=[*blas_link, "-lm", "-lpthread", *extra],
    )
    return builder


def float_builder() -> FFI:
    """vidya.kernels._float32: vd_real is float."""
    return _builder("vidya.kernels._float32", "float", [])


def double_builder() -> FFI:
    """vidya.kernels._float64: vd_real is double."""
    return _builder("vidya.kernels._float64", "double", DOUBLE)
