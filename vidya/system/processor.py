"""Name of the processor, as the system reports it."""

from __future__ import annotations

import platform
from pathlib import Path


def processor_name() -> str:
    """Name of the processor, or at least of its architecture."""
    try:
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model", "cpu model") and value.strip():
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
