"""What a run has measured so far, kept up to date while the run goes on.

A run of weeks has a metrics file of 100 MB: it is read once, by samples where it is long,
and then only what was appended. What is kept stays small however long the run is.
"""

from __future__ import annotations

import mmap
import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidya.measuring.reference_curves import ReferenceCurve, reference_curve
from vidya.storage.metrics_log import parse_line
from vidya.training.run_changes import is_change

RECENT = 512
"""Training lines that are kept as they are, the last."""
_MOST_POINTS = 2048
_READ_WHOLE = 8 << 20  # bytes; some 45,000 steps, parsed in a fraction of a second
_SAMPLES = 2048
_SAMPLE_BYTES = 2048  # about ten lines
_FEW = 1 << 16  # bytes that tell how long lines are
_RARE = (b'"val_loss"', b'"kind"', b'"spike"', b'"checkpoint_stall_ms"')
"""What marks lines of which none may be missed."""


@dataclass(frozen=True)
class HeldOutPoint:
    """Held-out loss after `step` steps."""

    step: int
    loss: float
    """Nats per token."""
    bits_per_byte: float
    tokens: int = 0
    """Trained on by then."""


class RunHistory:
    """The curves and last figures of a metrics file; `update` reads what is new.

    Attributes:
        description: the last line that describes the run (`describe_run`); empty before.
        last: the last training line; empty before the first.
        recent: the last training lines, oldest first.
        evaluations: all of them, oldest first.
        changes: lines that say what the run was told anew, oldest first.
        spikes: training lines that the guard marked.
        longest_stall_ms: the most that a checkpoint has kept a step waiting; None: no
            checkpoint was written beside training.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: tuple[int, int] | None = None  # device and inode
        self._forget()

    def _forget(self) -> None:
        self._offset = 0
        self._rest = b""
        self._width = 1
        self._buckets: dict[int, tuple[float, int]] = {}
        self.description: dict[str, Any] = {}
        self.last: dict[str, Any] = {}
        self.recent: deque[dict[str, Any]] = deque(maxlen=RECENT)
        self.evaluations: list[HeldOutPoint] = []
        self.changes: list[dict[str, Any]] = []
        self.spikes = 0
        self.longest_stall_ms: float | None = None

    def reference(self) -> ReferenceCurve | None:
        """The curve of a measured run of this one's preset and recipe; None: there is none."""
        options = self.description.get("options") or {}
        return reference_curve(options.get("preset"), options.get("recipe") or "plan")

    def update(self) -> bool:
        """Read what was written since the last call; whether there was anything.

        A file that was replaced or cut, as by a run that resumes, is read anew.
        """
        try:
            file = open(self._path, "rb")
        except FileNotFoundError:
            return False
        with file:
            status = os.fstat(file.fileno())
            if (status.st_dev, status.st_ino) != self._file or status.st_size < self._offset:
                self._file = (status.st_dev, status.st_ino)
                self._forget()
                if status.st_size > _READ_WHOLE:
                    self._skim(file.fileno(), status.st_size)
            file.seek(self._offset)
            new = file.read()
        self._offset += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")  # the last may be half written
        for raw in lines:
            self._take(raw)
        return bool(new)

    def training_curve(self) -> tuple[list[float], list[float]]:
        """Steps and mean losses there, of at most a few thousand stretches of the run."""
        points = sorted(self._buckets.items())
        steps = [(number + 0.5) * self._width for number, _ in points]
        return steps, [total / count for _, (total, count) in points]

    def _take(self, raw: bytes, *, sampled: bool = False) -> None:
        line = parse_line(raw)
        if line is None:
            return
        if line.get("kind") == "run":
            self.description = line
        elif is_change(line):
            self.changes.append(line)
        elif _number(line.get("step")) and _number(line.get("loss")):
            self._add_to_curve(int(line["step"]), float(line["loss"]))
            self.spikes += "spike" in line
            stall = line.get("checkpoint_stall_ms")
            if isinstance(stall, (int, float)):
                self.longest_stall_ms = max(self.longest_stall_ms or 0.0, float(stall))
            if not sampled:
                self.last = line
                self.recent.append(line)
        elif _number(line.get("step")) and _number(line.get("val_loss")):
            losses = float(line["val_loss"]), float(line["val_bpb"])
            tokens = int(line["tokens"]) if _number(line.get("tokens")) else 0
            self.evaluations.append(HeldOutPoint(int(line["step"]), *losses, tokens))

    def _add_to_curve(self, step: int, loss: float) -> None:
        number = step // self._width
        total, count = self._buckets.get(number, (0.0, 0))
        self._buckets[number] = total + loss, count + 1
        while len(self._buckets) > _MOST_POINTS:
            merged: dict[int, tuple[float, int]] = {}
            for number, (total, count) in self._buckets.items():
                before, so_many = merged.get(number // 2, (0.0, 0))
                merged[number // 2] = before + total, so_many + count
            self._buckets = merged
            self._width *= 2

    def _skim(self, file: int, size: int) -> None:
        """Take in the long part of a file: every rare line, and of the others samples."""
        end = size - _READ_WHOLE // 8  # what follows is read whole
        with mmap.mmap(file, size, access=mmap.ACCESS_READ) as data:
            end = data.rfind(b"\n", 0, end) + 1
            # wide stretches from the first, or each sample would become a point of its own
            few = data[max(0, end - _FEW) : end]
            lines = end * few.count(b"\n") // len(few)
            self._width = 1 + lines * 4 // (3 * _MOST_POINTS)
            for start in sorted(_rare_lines(data, end)):
                self._take(data[start : data.find(b"\n", start)], sampled=True)
            for number in range(_SAMPLES):
                at = end * number // _SAMPLES
                for raw in data[at : min(at + _SAMPLE_BYTES, end)].split(b"\n")[1:-1]:
                    if not any(mark in raw for mark in _RARE):
                        self._take(raw, sampled=True)
        self._offset = end


def _rare_lines(data: mmap.mmap, end: int) -> set[int]:
    """Where lines with a rare mark begin."""
    starts = set()
    for mark in _RARE:
        at = data.find(mark, 0, end)
        while at >= 0:
            starts.add(data.rfind(b"\n", 0, at) + 1)
            at = data.find(mark, at + 1, end)
    return starts


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and value == value  # not NaN
