"""What this machine can do now: arithmetic and memory bandwidth, as limits for shares.

    python bench/limits.py [--threads 1 2] [--seconds 3]

- **fp32**: OpenBLAS `sgemm`, called single-threaded from a thread a core, each on a
  matrix of its own in an easy shape. No second pool is left spinning that way, so a
  limit can be measured between two kernels without disturbing them.
- **bf16**: vidya's own bf16 product, packing included, in a shape where that costs
  little. A processor without bf16 instructions computes it in fp32 arithmetic; where the
  fp32 limit is the higher one, `arithmetic("bf16")` gives it.
- **read**: the dot product of two big arrays (OpenBLAS `sdot`). One read each is counted.
- **write**: the best of copying a big array and of negating one in place. One read and
  one write are counted, as STREAM does. Where a copy's stores allocate cache lines the
  memory moves half as much again, uncounted; negating in place has no such traffic.

Arrays are several times the last-level cache. A machine shared with others gives a
different limit every minute, so shares are only meaningful against a limit of the same
run: a `Meter` keeps its arrays and takes samples between the measurements.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from linear import draw, plain_product
from machine import describe, last_level_cache, summary
from numpy.typing import NDArray

from vidya import kernels

Array = NDArray[np.float32]

EASY = 768
"""Rows, columns and inner size of the easy product: 10 ms or so on a core."""
BF16_SHAPE = (1024, 2048, 1024)
"""Rows a thread, columns and inner size of the bf16 product."""
LEAST_BYTES, MOST_BYTES = 128 << 20, 1 << 30
BOUNDS = ("fp32", "bf16", "read", "write")
ROW_MAJOR, NO_TRANS, TRANS = 101, 111, 112


@dataclass(frozen=True)
class Limits:
    """The best that was seen of each limit."""

    threads: int
    """Threads that were asked for; never more than cores are used."""
    fp32_gflops: float = 0.0
    bf16_gflops: float = 0.0
    read_gbps: float = 0.0
    write_gbps: float = 0.0

    def arithmetic(self, precision: str) -> float:
        """GFLOP/s that a step of "fp32" or "bf16" could reach."""
        if precision == "bf16":
            return max(self.bf16_gflops, self.fp32_gflops)
        return self.fp32_gflops

    def of(self, bound: str) -> float:
        """The limit called "fp32", "bf16" (GFLOP/s), "read" or "write" (GB/s)."""
        if bound in ("fp32", "bf16"):
            return self.arithmetic(bound)
        return {"read": self.read_gbps, "write": self.write_gbps}[bound]


# ---- the products -----------------------------------------------------------------------------


@functools.cache
def blas(name: str) -> Any:
    """`cblas_` + name of the OpenBLAS that vidya runs on, whose threads are set to one.

    SystemExit if there is none: then there is nothing to measure the limits by.
    """
    integer, real, pointer = ctypes.c_int, ctypes.c_float, ctypes.c_void_p
    arguments = {
        "sgemm": [*[integer] * 6, real, pointer, integer, pointer, integer, real, pointer, integer],
        "sdot": [integer, pointer, integer, pointer, integer],
    }[name]
    for library in _libraries():
        for prefix in ("scipy_", ""):
            function = getattr(library, f"{prefix}cblas_{name}", None)
            if function is not None:
                function.restype = real if name == "sdot" else None
                function.argtypes = arguments
                getattr(library, f"{prefix}openblas_set_num_threads")(1)
                return function
    raise SystemExit("error: no OpenBLAS beside vidya's kernels to measure the limits by")


def _libraries() -> list[ctypes.CDLL]:
    """Where OpenBLAS may be: what the kernels are linked to, and its wheel."""
    from vidya.kernels import _float32

    found = [ctypes.CDLL(_float32.__file__)]  # looks through its dependencies too
    try:
        import scipy_openblas32
    except ImportError:
        return found
    path = f"{scipy_openblas32.get_lib_dir()}/libscipy_openblas.so"
    try:
        return [*found, ctypes.CDLL(path)]
    except OSError:
        return found


def blas_product(x: Array, w: Array, out: Array) -> Callable[[], None]:
    """A call of single-threaded sgemm: out [m, n] = x [m, k] @ w [n, k].T."""
    (m, k), n = x.shape, len(w)
    arguments = (
        ROW_MAJOR, NO_TRANS, TRANS, m, n, k, 1.0, x.ctypes.data, k, w.ctypes.data, k, 0.0,
        out.ctypes.data, n,
    )  # fmt: skip
    # the arrays ride along so that they live as long as the call
    return functools.partial(_call, blas("sgemm"), arguments, (x, w, out))


def blas_dot(a: Array, b: Array) -> Callable[[], None]:
    """A call of single-threaded sdot over two arrays of one size."""
    arguments = (a.size, a.ctypes.data, 1, b.ctypes.data, 1)
    return functools.partial(_call, blas("sdot"), arguments, (a, b))


def _call(function: Any, arguments: tuple[Any, ...], keep: tuple[Array, ...]) -> None:
    function(*arguments)


# ---- the meter --------------------------------------------------------------------------------


@dataclass
class Meter:
    """Takes samples of the limits with arrays that are made once.

    With one thread the calling thread does the work, so that a clock of the thread's own
    time can be given; with more, a thread a core does, and only wall time makes sense.
    """

    threads: int
    clock: Callable[[], float] = time.perf_counter
    """Seconds."""
    samples: dict[str, list[float]] = field(default_factory=dict)
    """Every rate that was sampled, by the name of its limit: GFLOP/s or GB/s."""

    def __post_init__(self) -> None:
        self.used = min(self.threads, kernels.usable_cores())
        self._pool = ThreadPoolExecutor(self.used) if self.used > 1 else None
        self._products: list[Callable[[], object]] = []
        self._bf16: Callable[[], object] | None = None
        self._arrays: list[tuple[Array, Array]] = []

    def close(self) -> None:
        """End the threads and give the arrays back."""
        if self._pool is not None:
            self._pool.shutdown()
        self._products, self._arrays, self._bf16 = [], [], None

    def sample(self, bound: str, tries: int = 1) -> float:
        """The best rate of `tries` short measurements of one limit; it is remembered."""
        measure = {"fp32": self._fp32, "bf16": self._bf16_rate, "read": self._read,
                   "write": self._write}[bound]  # fmt: skip
        rate = max(measure() for _ in range(tries))
        self.samples.setdefault(bound, []).append(rate)
        return rate

    def sample_all(self, tries: int = 1) -> None:
        """One sample of every limit that this build has."""
        for bound in BOUNDS:
            self.sample(bound, tries)

    def limits(self, pick: Callable[[list[float]], float] = max) -> Limits:
        """The limits from all samples so far: the best of them, or another `pick`."""
        rates = {bound: pick(values) for bound, values in self.samples.items()}
        return Limits(
            self.threads,
            fp32_gflops=rates.get("fp32", 0.0),
            bf16_gflops=rates.get("bf16", 0.0),
            read_gbps=rates.get("read", 0.0),
            write_gbps=rates.get("write", 0.0),
        )

    # ---- one measurement each ------------------------------------------------

    def together(self, calls: list[Callable[[], object]]) -> float:
        """Seconds until all of the calls, one a thread, are done."""
        start = self.clock()
        if self._pool is None:
            calls[0]()
        else:
            for future in [self._pool.submit(call) for call in calls]:
                future.result()
        return self.clock() - start

    def _fp32(self) -> float:
        if not self._products:
            self._products = self._make_products()
            self.together(self._products)
        return 2e-9 * EASY**3 * self.used / self.together(self._products)

    def _make_products(self) -> list[Callable[[], object]]:
        x, w = draw(EASY, EASY), draw(EASY, EASY)
        outs = [np.empty((EASY, EASY), np.float32) for _ in range(self.used)]
        return [blas_product(x.copy(), w.copy(), out) for out in outs]

    def _bf16_rate(self) -> float:
        shape = (BF16_SHAPE[0] * self.used, *BF16_SHAPE[1:])
        if self._bf16 is None:
            self._bf16 = plain_product(*shape, "bf16")
            self.on_pool(self._bf16)
        return 2e-9 * math.prod(shape) / self.on_pool(self._bf16)

    def on_pool(self, call: Callable[[], object]) -> float:
        """Seconds of a call that uses vidya's own threads."""
        before = kernels.get_num_threads()
        kernels.set_num_threads(self.used)
        start = self.clock()
        call()
        seconds = self.clock() - start
        kernels.set_num_threads(before)
        return seconds

    def _chunks(self) -> list[tuple[Array, Array]]:
        """A pair of arrays a thread, together several times the last-level cache."""
        if not self._arrays:
            total = min(MOST_BYTES, max(LEAST_BYTES, 4 * last_level_cache()))
            size = total // 2 // 4 // self.used
            self._arrays = [
                (np.ones(size, np.float32), np.ones(size, np.float32)) for _ in range(self.used)
            ]
        return self._arrays

    def _read(self) -> float:
        chunks = self._chunks()
        seconds = self.together([blas_dot(a, b) for a, b in chunks])
        return 2e-9 * sum(a.nbytes for a, _ in chunks) / seconds

    def _write(self) -> float:
        chunks = self._chunks()
        nbytes = 2 * sum(a.nbytes for a, _ in chunks)
        copy = self.together([functools.partial(np.copyto, b, a) for a, b in chunks])
        negate = self.together([functools.partial(np.negative, a, a) for a, _ in chunks])
        return 1e-9 * nbytes / min(copy, negate)


def measure_limits(threads: int, seconds: float = 2.0) -> Limits:
    """The best of each limit that was seen within about `seconds`."""
    meter = Meter(threads)
    end = time.perf_counter() + seconds
    while True:
        meter.sample_all()
        if time.perf_counter() >= end:
            break
    meter.close()
    return meter.limits()


# ---- the script -------------------------------------------------------------------------------


def model_shapes(rows: int = 4096, d: int = 384) -> list[tuple[int, int, int]]:
    """(m, n, k) of the forward products of a 25m layer."""
    return [(rows, 3 * d, d), (rows, d, d), (rows, 4 * d, d), (rows, d, 4 * d)]


def product_rates(m: int, n: int, k: int, threads: int, tries: int = 7) -> dict[str, float]:
    """Best GFLOP/s of OpenBLAS (its rows shared by the threads) and of vidya's own."""
    used = min(threads, kernels.usable_cores())
    x, w, out = draw(m, k), draw(n, k), np.empty((m, n), np.float32)
    rows = np.array_split(np.arange(m), used)
    parts = [blas_product(x[r[0] : r[-1] + 1], w, out[r[0] : r[-1] + 1]) for r in rows]
    fp32, bf16 = plain_product(m, n, k, "fp32"), plain_product(m, n, k, "bf16")
    meter = Meter(threads)
    calls: dict[str, Callable[[], float]] = {
        "OpenBLAS": lambda: meter.together(list(parts)),
        "vidya fp32": lambda: meter.on_pool(fp32),
        "vidya bf16": lambda: meter.on_pool(bf16),
    }
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(tries):
        for name, call in calls.items():
            best[name] = min(best[name], call())
    meter.close()
    return {name: 2e-9 * m * n * k / seconds for name, seconds in best.items()}


def main() -> None:
    """Print the limits and the rates at the shapes of 25m."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cores = kernels.usable_cores()
    parser.add_argument("--threads", nargs="+", type=int, default=sorted({1, cores}))
    parser.add_argument("--seconds", type=float, default=3.0, help="for each number of threads")
    given = parser.parse_args()
    print(summary(describe()) + "\n")
    print("| threads | fp32 GFLOP/s | bf16 GFLOP/s | read GB/s | read + write GB/s |")
    print("|---|---|---|---|---|")
    for threads in given.threads:
        found = measure_limits(threads, given.seconds)
        print(
            f"| {threads} | {found.fp32_gflops:.0f} | {found.bf16_gflops:.0f} "
            f"| {found.read_gbps:.1f} | {found.write_gbps:.1f} |",
            flush=True,
        )
    print("\nGFLOP/s of single products, best of 7, rows x columns x inner size:\n")
    shapes = [(2048, 2048, 2048), *model_shapes(), *model_shapes(512)]
    header = list(product_rates(64, 64, 64, 1))
    print("| shape | threads | " + " | ".join(header) + " |\n|" + "---|" * (2 + len(header)))
    for shape in shapes:
        for threads in given.threads:
            rates = product_rates(*shape, threads)
            cells = " | ".join(f"{rate:.0f}" for rate in rates.values())
            print(f"| {'x'.join(map(str, shape))} | {threads} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
