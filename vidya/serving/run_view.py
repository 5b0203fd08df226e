"""The run behind a served model, as the page draws it: state, figures, curves and samples.

Everything is read from the run folder, also while another process trains there.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vidya.reporting.monitor_frame import glance, total_steps
from vidya.reporting.run_history import RunHistory
from vidya.storage.run_files import RunFiles
from vidya.terminal.progress_display import RunningMean

MOST_POINTS = 400
"""Of a curve: more than a page draws apart."""


class RunView:
    """A run folder that is looked at again and again, from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._history = RunHistory(RunFiles(folder).metrics)
        self._lock = threading.Lock()

    def now(self) -> dict[str, Any]:
        """What is known now; numbers that are none are null."""
        with self._lock:
            self._history.update()
            return self._told(self._history)

    def _told(self, history: RunHistory) -> dict[str, Any]:
        seen, steps = glance(self._folder, history), total_steps(history)
        step = int(history.last.get("step", 0))
        training = seen.process is not None and seen.process != os.getpid()
        options = history.description.get("options", {})
        mean = RunningMean()
        for line in history.recent:
            mean.add(float(line["loss"]))
        at, losses = history.training_curve()
        speeds = [(line["step"], line["tokens_per_s"]) for line in history.recent]
        state = "training" if training else "finished" if steps and step >= steps else "stopped"
        return {
            "name": self._folder.resolve().name,
            "preset": options.get("preset"),
            "state": seen.preparing or state if history.last or training else "none",
            "step": step, "steps": steps, "tokens": history.last.get("tokens", 0),
            "seconds": _number(history.last.get("time_s")),
            "seconds_left": self._left(history, step, steps) if training else None,
            "loss": _number(mean.value),
            "curve": _thinned(list(zip(at, losses, strict=True))),
            "evaluations": _thinned(
                [(one.step, one.loss, one.bits_per_byte) for one in history.evaluations]
            ),
            "speed": _thinned(speeds),
            "samples": seen.samples,
        }  # fmt: skip

    @staticmethod
    def _left(history: RunHistory, step: int, steps: int | None) -> float | None:
        """Seconds to the end, by the last steps, evaluations included."""
        if not steps or len(history.recent) < 2:
            return None
        first, last = history.recent[0], history.recent[-1]
        made = last["step"] - first["step"]
        return _number((steps - step) * (last["time_s"] - first["time_s"]) / made) if made else None


def _thinned(points: Sequence[Sequence[Any]]) -> list[list[float | None]]:
    """Means of neighbours where there are more points than are drawn."""
    width = math.ceil(len(points) / MOST_POINTS)
    groups = [points[at : at + max(1, width)] for at in range(0, len(points), max(1, width))]
    return [
        [_number(sum(map(float, values)) / len(group)) for values in zip(*group, strict=True)]
        for group in groups
    ]


def _number(value: object) -> float | None:
    """A number as JSON has it, with the digits that a picture needs."""
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(f"{value:.6g}")
