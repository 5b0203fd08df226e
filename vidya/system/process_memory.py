"""Memory of this process and of this machine, as the system reports it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import sys
from pathlib import Path

from vidya.system import cpu_cores

_STATUS = Path("/proc/self/status")


def peak_bytes() -> int:
    """The most memory that this process had in RAM at one time, in bytes."""
    return _figure(_STATUS, "VmHWM") or _peak_of_usage()


def resident_bytes() -> int:
    """Memory of this process that is in RAM now, in bytes.

    Where `/proc` is missing, the largest that it has been.
    """
    try:
        pages = int(Path("/proc/self/statm").read_text("utf-8", "replace").split()[1])
    except (OSError, ValueError, IndexError):
        return _peak_of_usage()
    return pages * os.sysconf("SC_PAGE_SIZE")


def reset_peak() -> None:
    """Let `peak_bytes` count from now on, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", "utf-8")


def available_bytes() -> int | None:
    """Bytes that this process may still take without swapping; None where nobody says.

    What the machine has left, and no more than its control groups leave.
    """
    left = [_group_leaves(folder) for folder in cpu_cores.control_groups("memory")]
    left.append(_figure(Path("/proc/meminfo"), "MemAvailable"))
    return min((some for some in left if some is not None), default=None)


def _group_leaves(folder: Path) -> int | None:
    """What a control group (version 2 or 1) has left of its limit; None without one."""
    for limit, used in (
        ("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):  # fmt: skip
        try:
            most, now = (
                int((folder / limit).read_text("utf-8", "replace")),
                int((folder / used).read_text()),
            )
        except (OSError, ValueError):  # absent, or "max"
            continue
        # pages of files in it can be given back
        return max(0, most - now + (_figure(folder / "memory.stat", "inactive_file") or 0))
    return None


def mapped_bytes() -> int:
    """Bytes in RAM that belong to files (programs, token caches); 0 where nobody says."""
    return _figure(_STATUS, "RssFile") or 0


def give_back() -> None:
    """Return freed memory to the system.

    Training a tokenizer allocates and frees hundreds of megabytes in small pieces, from
    several threads; glibc keeps them for this process unless it is asked.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))


def _peak_of_usage() -> int:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _figure(path: Path, field: str) -> int | None:
    """The figure called `field` in a file of the system, in bytes: `Field: 12 kB`, `field 12`."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    for line in lines:
        name, *value = line.replace(":", " ").split()
        if name == field:
            return int(value[0]) * (1024 if value[-1] == "kB" else 1)
    return None
