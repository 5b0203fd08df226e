"""What the C functions are promised: `vd_assert` holds callers to it in the sanitizer build."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vidya import kernels

LIBRARIES = [
    Path(library.__file__).read_bytes() for library in (kernels._float32, kernels._float64)
]
ASSERTING = b"vd_assert failed" in LIBRARIES[0]

BEGINNING = """
import numpy as np
from vidya.kernels import NULL, library, pointer, structure, workspace
kept = []
def at(array):
    kept.append(array)  # alive until the process ends
    return pointer(array)
c = library()
x, w, y, out = (at(np.ones((4, 64), np.float32)) for _ in range(4))
ids, room = np.zeros(4, np.int32), workspace(np.float32, 4, [(4, 64)])
"""
"""Arrays that every broken call is made of."""


def test_assertions_are_in_the_sanitizer_build_alone():
    for library in LIBRARIES:
        assert (b"vd_assert failed" in library) == (b"__asan_report" in library)


@pytest.mark.skipif(not ASSERTING, reason="assertions are compiled into the sanitizer build alone")
@pytest.mark.parametrize(
    ("call", "promise"),
    [
        ("c.vidya_gelu_forward(y, NULL, 4)", "y && x && n > 0"),
        ("c.vidya_sum(x, 0)", "x && n > 0"),
        ("c.vidya_top_k(at(ids), x, 64, 65)", "1 <= k && k <= n && n <= INT32_MAX"),
        ("c.vidya_embedding_forward(y, w, at(ids - 1), 4, 64)", "vd_are_within(tokens, T, 0"),
        (
            "c.vidya_attention_forward(y, out, x, at(np.array([0, 3, 2])), 2, 1, 2, 0)",
            "vd_are_offsets(offsets, n_docs)",
        ),
        (
            "c.vidya_linear_cross_entropy_forward(y, out, x, w, at(ids + 4), 4, 64, 4, 4, 0,"
            " at(room))",
            "vd_are_within(targets, rows, INT32_MIN, V)",
        ),
        (
            "c.vidya_linear_forward(structure('vidya_output', 'f4', data=y),"
            " structure('vidya_input', 'f4', data=x), w, 4, 4, 64, 0, at(room[8:]))",
            "vd_is_aligned(workspace)",
        ),
        ("c.vidya_compress(at(room[8:]), NULL, w, 4, 64, 1)", "vd_is_aligned(panels)"),
    ],
)
def test_a_broken_promise_ends_the_process_and_says_which(call, promise):
    done = subprocess.run(
        [sys.executable, "-c", BEGINNING + call], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == -signal.SIGABRT, done.stderr
    (line,) = done.stderr.splitlines()
    assert f"vd_assert failed: {promise}" in line and ".c:" in line
