"""A whole training step, by preset, precision, batch and number of threads.

`make bench` runs it (pytest-benchmark) and prints a table. The plan asks for 1 against
4 threads; 2 is there because many machines have two cores. More threads than cores are
measured too: they must not collapse.
"""

from __future__ import annotations

import functools

import pytest
from steps import Training, config_of, documents, step_flops, timed

SECONDS = 8.0
"""For the rounds of one case, at least LEAST_ROUNDS of them."""
LEAST_ROUNDS, MOST_ROUNDS = 3, 15


@functools.lru_cache(maxsize=1)
def training(name: str, tokens: int, precision: str) -> Training:
    """The numbers of threads follow each other over one model."""
    return Training(config_of(name), tokens, precision)


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("tokens", ["document", 4096])
@pytest.mark.parametrize("name", ["10m", "25m"])
def test_step(
    benchmark, meters, name: str, tokens: int | str, precision: str, threads: int
) -> None:
    config, meter = config_of(name), meters(threads)
    count = config.context if isinstance(tokens, str) else tokens
    batch = documents(config, count)
    made = training(name, count, precision)
    step = functools.partial(made.step, batch, threads)
    step()
    seconds = timed(step)
    rounds = min(MOST_ROUNDS, max(LEAST_ROUNDS, int(SECONDS / seconds)))
    bounds = ("fp32",) if precision == "fp32" else ("fp32", precision)
    for bound in bounds:
        meter.sample(bound, tries=5)
    benchmark.group = f"{name} {precision}, {count} tokens"
    benchmark.pedantic(step, rounds=rounds)
    limit = max(meter.sample(bound, tries=5) for bound in bounds)
    median = benchmark.stats.stats.median
    gflops = step_flops(config, batch) / median / 1e9
    benchmark.extra_info.update(
        preset=name, precision=precision, tokens=count, threads=threads, seconds=median,
        tokens_per_s=count / median, gflops=gflops, limit=limit, share=gflops / limit,
    )  # fmt: skip
