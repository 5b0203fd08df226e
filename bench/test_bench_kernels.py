"""Each kernel at the shapes of a 25m step, beside the limit of the same moment.

`make bench` runs it (pytest-benchmark) and prints a table; in the JSON, `extra_info`
has the rate in GFLOP/s or GB/s, the limit that was sampled just before and just after,
and the share of it.
"""

from __future__ import annotations

import pytest
from kernel_cases import (
    KernelCase,
    attention,
    blas_products,
    cross_entropy,
    passes,
    products,
)
from steps import config_of

from vidya import kernels

CONFIG = config_of("25m")
CASES = [
    *(
        case
        for T in (512, 4096)
        for precision in ("fp32", "bf16")
        for of in (products, attention, cross_entropy)
        for case in of(CONFIG, T, precision)
    ),
    *blas_products(CONFIG, 4096),
    *passes(CONFIG, 4096, CONFIG.parameter_count()),
]


@pytest.mark.benchmark(min_rounds=5, max_time=0.4)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}-{case.shape}")
def test_kernel(benchmark, meters, case: KernelCase, threads: int) -> None:
    call, meter = case.build(), meters(threads)
    bounds = {case.bound, "fp32"} if case.bound == "bf16" else {case.bound}
    before = max(meter.sample(bound, tries=3) for bound in bounds)
    kernels.set_num_threads(threads)
    call()
    benchmark.group = f"{case.name}, {case.shape}"
    benchmark(call)
    limit = max(before, *(meter.sample(bound, tries=3) for bound in bounds))
    rate = case.rate(benchmark.stats.stats.median)
    benchmark.extra_info.update(
        kernel=case.name, shape=case.shape, threads=threads, bound=case.bound, unit=case.unit,
        where=case.where, rate=rate, limit=limit, share=rate / limit,
    )  # fmt: skip
