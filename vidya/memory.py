"""What a training needs in memory: planned from its arrays, and measured.

The plan counts what the model, the optimizer and the corpus allocate, for the longest
batch of the run, and the memory that the process took before the model was made.
"""

from __future__ import annotations

import contextlib
import ctypes
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

from vidya import cores, metrics
from vidya.batches import BatchPlan
from vidya.model import Model
from vidya.progress import size

MOMENTS = 2
"""Adam's arrays of the parameters' shape."""


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes that a training will take, by what takes them."""

    parameters: int
    gradients: int
    moments: int
    activations: int
    """Kept for backward, scratch, and a chunk of logits."""
    evaluation: int
    """Activations of passes without backward; 0 when the run makes none."""
    corpus: int
    """Where documents and windows lie. Tokens stay in a file that the system maps."""
    base: int
    """Taken before the model was made: Python, libraries, tokenizer."""
    snapshot: int = 0
    """Copy of parameters and moments that checkpoints are written from; 0 when none is
    written before the last step."""

    @property
    def total(self) -> int:
        """All of them."""
        return (
            self.parameters + self.gradients + self.moments + self.activations
            + self.evaluation + self.corpus + self.base + self.snapshot
        )  # fmt: skip

    def line(self) -> str:
        """The plan in a line."""
        parts = {
            "parameters": self.parameters,
            "gradients": self.gradients,
            "Adam's moments": self.moments,
            "activations and scratch": self.activations,
            "evaluation": self.evaluation,
            "checkpoint on its way": self.snapshot,
            "corpus index": self.corpus,
            "Python and libraries": self.base,
        }
        listed = ", ".join(f"{name} {value / 1e6:.1f}" for name, value in parts.items() if value)
        return f"memory: {size(self.total)} planned for the longest step, in MB: {listed}"


def plan(
    model: Model, *, evaluates: bool, batches: BatchPlan | None, base: int, saves: bool = False
) -> MemoryPlan:
    """What a training of `model` will take.

    Allocates the activations, without touching them: they take no memory yet.

    Args:
        model: the model, of the run's `max_tokens`.
        evaluates: whether there will be passes without backward (held-out loss, samples).
        batches: the run's batches, for the corpus; None counts no corpus.
        base: bytes that the process took before the model was made.
        saves: whether checkpoints will be written while training goes on.
    """
    own = model.flat.nbytes
    return MemoryPlan(
        parameters=own,
        gradients=own,
        moments=MOMENTS * own,
        activations=model.activations(training=True).nbytes() + model.workspace.nbytes,
        evaluation=model.activations(training=False).nbytes() if evaluates else 0,
        corpus=batches.nbytes if batches else 0,
        base=base,
        snapshot=(1 + MOMENTS) * own if saves else 0,
    )


def in_use_line(planned: MemoryPlan | None, when: str) -> str:
    """What the process takes now, beside the plan, in a line."""
    now, mapped = metrics.rss_bytes(), mapped_bytes()
    beside = f", {now / planned.total:.0%} of the plan" if planned else ""
    files = f"; {size(mapped)} of it mapped files" if mapped else ""
    return f"memory: {size(now)} in use {when}{beside}{files}; peak so far {size(peak_bytes())}"


def peak_bytes() -> int:
    """The most memory that this process had in RAM at one time, in bytes."""
    peak = _status("VmHWM")
    if peak is not None:
        return peak
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def reset_peak() -> None:
    """Let `peak_bytes` count from now on, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def available_bytes() -> int | None:
    """Bytes that this process may still take without swapping; None where nobody says.

    What the machine has left, and no more than its control groups leave.
    """
    left = [_group_leaves(folder) for folder in cores.control_groups("memory")]
    left.append(_figure(Path("/proc/meminfo"), "MemAvailable"))
    return min((some for some in left if some is not None), default=None)


def _group_leaves(folder: Path) -> int | None:
    """What a control group (version 2 or 1) has left of its limit; None without one."""
    for limit, used in (
        ("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):  # fmt: skip
        try:
            most, now = int((folder / limit).read_text()), int((folder / used).read_text())
        except (OSError, ValueError):  # absent, or "max"
            continue
        # pages of files in it can be given back
        return max(0, most - now + (_figure(folder / "memory.stat", "inactive_file") or 0))
    return None


def mapped_bytes() -> int:
    """Bytes in RAM that belong to files (programs, token caches); 0 where nobody says."""
    return _status("RssFile") or 0


def give_back() -> None:
    """Return freed memory to the system.

    Training a tokenizer allocates and frees hundreds of megabytes in small pieces, from
    several threads; glibc keeps them for this process unless it is asked.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))


def _status(field: str) -> int | None:
    """A figure of /proc/self/status, in bytes."""
    return _figure(Path("/proc/self/status"), field)


def _figure(path: Path, field: str) -> int | None:
    """The figure called `field` in a file of the system, in bytes: `Field: 12 kB`, `field 12`."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        name, *value = line.replace(":", " ").split()
        if name == field:
            return int(value[0]) * (1024 if value[-1] == "kB" else 1)
    return None
