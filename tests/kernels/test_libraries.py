"""Loading the compiled libraries: what is wrong with them is said in one line."""

import subprocess
import sys

import pytest

from vidya import kernels

IMPORT = """
import sys
from types import SimpleNamespace
from vidya.errors import UserError

def library(parallel):
    lib = SimpleNamespace(vidya_openblas_get_parallel=lambda: parallel)
    return SimpleNamespace(lib=lib, ffi=SimpleNamespace(NULL=None))

sys.modules["vidya.kernels._float32"] = sys.modules["vidya.kernels._float64"] = {stand_in}
try:
    import vidya.kernels
except UserError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("stand_in", "words"),
    [
        ("None", ("the C kernels are not usable here (", "run `make` in vidya's folder")),
        ("library(1)", ("are older than vidya's Python code", "run `make` in vidya's folder")),
        ("library(2)", ("this OpenBLAS is built with OpenMP", "make without VIDYA_BLAS")),
    ],
    ids=["missing", "older", "OpenMP"],
)
def test_a_library_that_cannot_be_used_is_an_error_of_one_line(stand_in, words):
    code = IMPORT.format(stand_in=stand_in)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert all(word in line for word in words), line


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_limits_are_those_of_the_c_code(dtype):
    for name in ("MAX_THREADS", "MAX_HEAD_DIM", "CACHE_BLOCK", "CACHE_PAD"):
        assert getattr(kernels, name) == getattr(kernels.library(dtype), f"VIDYA_{name}")
