"""What the suites share: limits of the same minute, and a bound on the whole run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import machine
import pytest
from kernel_cases import keep_freed_memory
from limits import Meter

MINUTES = 13.0
"""`make bench` takes less than 15; what would begin later is skipped, and says so."""
_begin = time.monotonic()


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict) -> None:
    """The report's caption comes from here."""
    machine_info["vidya"] = machine.describe()


@pytest.fixture(autouse=True)
def within_time() -> None:
    """Skip what would make the run longer than it may be."""
    if time.monotonic() - _begin > MINUTES * 60:
        pytest.skip(f"out of time: {MINUTES:.0f} minutes are over")


@pytest.fixture(scope="session", autouse=True)
def steady_memory() -> None:
    """Freed arrays stay with the process."""
    keep_freed_memory()


@pytest.fixture(scope="session")
def meters() -> Iterator[Callable[[int], Meter]]:
    """Meter by number of threads; each is made once."""
    made: dict[int, Meter] = {}

    def get(threads: int) -> Meter:
        if threads not in made:
            made[threads] = Meter(threads)
        return made[threads]

    yield get
    for meter in made.values():
        meter.close()
