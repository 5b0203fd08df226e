"""Each kernel at the shapes of a 10m step of 1,024 tokens (pytest-benchmark).

`make bench` prints the times; `extra_info` in the JSON has GFLOP/s where arithmetic
is what counts and GB/s where memory is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from vidya import kernels

T, D, H, V = 1024, 256, 8, 2259
RNG = np.random.default_rng(0)


def draw(*shape: int) -> np.ndarray:
    """Normal float32 numbers."""
    return RNG.standard_normal(shape, np.float32)


def products() -> dict[str, tuple[Callable[[], object], float]]:
    """Name to (call, floating-point operations)."""
    x, w, dy = draw(T, D), draw(4 * D, D), draw(T, 4 * D)
    y, dx, dw = np.empty_like(dy), np.empty_like(x), np.empty_like(w)
    flops = 2.0 * T * D * 4 * D
    qkv, ends = draw(T, 3 * D), np.arange(0, T + 1, 256, dtype=np.int64)
    out, lse = kernels.attention(qkv, ends, H)
    pairs = 256 * 257 / 2 * (T // 256) * D
    wte, targets = draw(V, D), RNG.integers(0, V, T).astype(np.int32)
    return {
        "matmul": (lambda: kernels.matmul(x, w, out=y), flops),
        "matmul_backward_input": (lambda: kernels.matmul_backward_input(dy, w, out=dx), flops),
        "matmul_backward_weight": (lambda: kernels.matmul_backward_weight(dy, x, out=dw), flops),
        "attention": (lambda: kernels.attention(qkv, ends, H), 4 * pairs),
        "attention_backward": (
            lambda: kernels.attention_backward(out, out, lse, qkv, ends, H),
            10 * pairs,
        ),
        "linear_cross_entropy_backward": (
            lambda: kernels.linear_cross_entropy_backward(x, wte, targets),
            6.0 * T * D * V,
        ),
    }


def passes() -> dict[str, tuple[Callable[[], object], float]]:
    """Name to (call, bytes read and written)."""
    x, wide, gain = draw(T, D), draw(T, 4 * D), draw(D)
    out, dy = np.empty_like(wide), draw(T, 4 * D)
    _, rstd = kernels.rmsnorm(x, gain)
    param, m, v, grad = (np.abs(draw(10_000_000)) for _ in range(4))
    return {
        "gelu": (lambda: kernels.gelu(wide, out=out), 2.0 * wide.nbytes),
        "gelu_backward": (lambda: kernels.gelu_backward(dy, wide), 3.0 * wide.nbytes),
        "dropout_add": (lambda: kernels.dropout_add(wide, dy, 0.1, 0, 0, out=out), 3.0 * dy.nbytes),
        "rmsnorm": (lambda: kernels.rmsnorm(x, gain), 2.0 * x.nbytes),
        "rmsnorm_backward": (lambda: kernels.rmsnorm_backward(x, x, rstd, gain), 3.0 * x.nbytes),
        "norm": (lambda: kernels.norm(grad), 1.0 * grad.nbytes),
        "adam": (lambda: kernels.adam(param, m, v, grad, lr=1e-3, step=9), 7.0 * grad.nbytes),
    }


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", products())
def test_arithmetic(benchmark, name: str, threads: int) -> None:
    call, flops = products()[name]
    kernels.set_num_threads(threads)
    benchmark.group = name
    benchmark(call)
    benchmark.extra_info["gflops"] = flops / benchmark.stats.stats.median / 1e9


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", passes())
def test_memory(benchmark, name: str, threads: int) -> None:
    call, traffic = passes()[name]
    kernels.set_num_threads(threads)
    benchmark.group = name
    benchmark(call)
    benchmark.extra_info["gbytes_per_s"] = traffic / benchmark.stats.stats.median / 1e9
