"""What the figures were measured on: processor, caches, memory, versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from pathlib import Path
from typing import Any

from vidya import __version__, kernels
from vidya.system.processor import processor_name

TELLING_FLAGS = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16", "sve")
CACHE = Path("/sys/devices/system/cpu/cpu0/cache")
ASSUMED_CACHE = 32 << 20


def processor_flags() -> list[str]:
    """Those instruction-set flags that decide how fast a training step can be."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return []
    found: set[str] = set()
    for line in lines:
        if line.startswith(("flags", "Features")):
            found = set(line.partition(":")[2].split())
            break
    return [flag for flag in TELLING_FLAGS if flag in found]


def last_level_cache() -> int:
    """Bytes of the largest cache of core 0; a common size where the system does not tell."""
    sizes = []
    for path in CACHE.glob("index*/size"):
        text = path.read_text(encoding="ascii").strip()
        sizes.append(int(text.rstrip("KMG")) << {"K": 10, "M": 20, "G": 30}.get(text[-1], 0))
    return max(sizes, default=ASSUMED_CACHE)


def memory_bytes() -> int:
    """Bytes of main memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class Others:
    """How much of the machine other programs take, from when this is made.

    PyTorch's threads wait in loops, and collapse when one of them does not get its core:
    a comparison beside other programs flatters vidya.
    """

    def __init__(self) -> None:
        self._begin = self._now()

    @staticmethod
    def _now() -> tuple[float, float, float]:
        """Seconds: of the clock, all processors' busy time, this process's."""
        try:
            first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
        except OSError:
            return time.monotonic(), 0.0, 0.0
        ticks = [int(tick) for tick in first[:8]]  # user nice system idle iowait irq softirq steal
        busy = sum(ticks) - ticks[3] - ticks[4]
        return time.monotonic(), busy / os.sysconf("SC_CLK_TCK"), time.process_time()

    def share(self) -> float:
        """Part of all cores' time that others took, 0 to 1."""
        wall, busy, own = (now - then for now, then in zip(self._now(), self._begin, strict=True))
        return max(0.0, busy - own) / max(1e-9, wall * (os.cpu_count() or 1))


def describe() -> dict[str, Any]:
    """The machine and the versions as plain JSON values."""
    versions = {"vidya": __version__, "python": platform.python_version()}
    for name in ("numpy", "torch", "pytest-benchmark"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "processor": processor_name(),
        "flags": processor_flags(),
        "cores": kernels.usable_cores(),
        "cache_bytes": last_level_cache(),
        "memory_bytes": memory_bytes(),
        "kernels": kernels.get_isa(),
        "blas": " ".join(kernels.openblas_config().split()[:2]),
        "versions": versions,
    }


def summary(machine: dict[str, Any]) -> str:
    """One line for a table's caption, from what `describe` gave."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['cores']} cores of {machine['processor']} ({' '.join(machine['flags'])}), "
        f"{machine['cache_bytes'] / 2**20:.0f} MiB cache, "
        f"{machine['memory_bytes'] / 2**30:.0f} GiB memory; {machine['kernels']} kernels, "
        f"{machine['blas']}; {versions}"
    )
