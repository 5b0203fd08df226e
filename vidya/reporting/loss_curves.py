"""The loss of one or several runs as a picture."""

from __future__ import annotations

import dataclasses
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from vidya.errors import UserError
from vidya.reporting.figure_style import (
    Floats,
    new_figure,
    numbers_of,
    plain_panel,
    style,
    window_means,
)
from vidya.storage.metrics_log import each_line
from vidya.storage.run_files import RunFiles
from vidya.terminal.streams import say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

What: TypeAlias = Literal["loss", "bpb", "speed"]
_LABELS: dict[What, str] = {
    "loss": "loss (nats per token)",
    "bpb": "held-out loss (bits per byte)",
    "speed": "tokens per second",
}
_MAX_POINTS = 2000  # more than the panel has pixels is only work


@dataclass(frozen=True)
class Curve:
    """One measured quantity over a run: arrays of equal length."""

    tokens: Floats
    minutes: Floats
    values: Floats


_NOTHING = Curve(*(np.empty(0) for _ in range(3)))


@dataclass(frozen=True)
class CurvesOfRun:
    """What is drawn of one run."""

    label: str
    train_loss: Curve
    """Nats per token, every step."""
    held_out_loss: Curve
    """Nats per token on held-out text."""
    held_out_bpb: Curve
    """Bits per byte on held-out text."""
    speed: Curve
    """Tokens per second, every step."""


def read_curves(path: Path) -> CurvesOfRun:
    """The curves of a run folder or of a `metrics.jsonl`.

    Raises:
        UserError: there are no metrics at `path`.
    """
    file = RunFiles(path).metrics if path.is_dir() else path
    if not file.exists():
        raise UserError(f"no metrics at {file}: name a run folder or a metrics.jsonl")

    def warn(number: int) -> None:
        say(f"{file}: skipped line {number}, which is damaged")

    fields = ("loss", "val_loss", "val_bpb", "tokens_per_s")
    curves = _curves(each_line(file, on_damaged=warn), fields)
    label = path.resolve().name if path.is_dir() else file.resolve().parent.name
    return CurvesOfRun(label, *curves)


def draw_curves(runs: list[CurvesOfRun], what: What = "loss") -> Figure:
    """A figure of the runs, against tokens on the left and against minutes on the right.

    Args:
        runs: at least one.
        what: `loss` draws training and held-out loss in nats per token, `bpb` the
            held-out bits per byte, which compare across tokenizers, `speed` tokens per second.

    Raises:
        UserError: matplotlib is not installed, or a run has nothing to draw.
    """
    figure = new_figure()
    for run in runs:
        _require_values(run, what)
    unit, panels = _token_unit(runs), figure.subplots(1, 2, sharey=True)
    axes: list[tuple[Axes, str, Callable[[Curve], Floats]]] = [
        (panels[0], f"tokens trained on{unit[1]}", lambda curve: curve.tokens / unit[0]),
        (panels[1], "training time (minutes)", lambda curve: curve.minutes),
    ]
    for panel, label, x_of in axes:
        for number, run in enumerate(runs):
            _draw_run(panel, run, what, number, x_of, alone=len(runs) == 1)
        panel.set_xlabel(label)
        plain_panel(panel)
    panels[0].set_ylabel(_LABELS[what])
    panels[0].set_ylim(*_value_range(runs, what))
    _add_legend(panels[0], runs, what)
    return figure


def _curves(lines: Iterable[dict[str, Any]], fields: tuple[str, ...]) -> list[Curve]:
    """A curve a field, of the lines that carry it; NaN and infinity left out."""
    rows = {field: array("d") for field in fields}
    for line in lines:
        for field, values in rows.items():
            if numbers := numbers_of(line, ("tokens", "time_s", field)):
                values.extend((numbers[0], numbers[1] / 60.0, numbers[2]))
    curves = []
    for values in rows.values():
        table: Floats = np.array(values, np.float64).reshape(-1, 3)
        table = table[np.isfinite(table).all(axis=1)]
        curves.append(Curve(table[:, 0], table[:, 1], table[:, 2]))
    return curves


def _smooth(curve: Curve) -> Curve:
    """Centred running mean over a fiftieth of the points, thinned to what shows."""
    count = len(curve.values)
    half = count // 100
    index = np.arange(0, count, max(1, count // _MAX_POINTS))
    # At the start, where the loss falls fast, the window shrinks on both sides: no
    # bias. At the end it only loses its right half: a last point is not noise alone.
    before = np.minimum(half, index)
    after = np.minimum(before, count - 1 - index)
    means = window_means(curve.values, index - before, index + after + 1)
    return Curve(curve.tokens[index], curve.minutes[index], means)


def _draw_run(
    panel: Axes,
    run: CurvesOfRun,
    what: What,
    number: int,
    x_of: Callable[[Curve], Floats],
    *,
    alone: bool,
) -> None:
    colour, dash = style(number)
    held_out, steps = _held_out(run, what), _every_step(run, what)
    if len(steps.values):
        if alone:
            step = max(1, len(steps.values) // _MAX_POINTS)
            panel.plot(
                x_of(steps)[::step],
                steps.values[::step],
                color=colour,
                alpha=0.15,
                linewidth=0.8,
            )
        train = _smooth(steps)
        panel.plot(
            x_of(train), train.values, color=colour, linestyle=dash, alpha=0.55, linewidth=1.2
        )
    if len(held_out.values):
        panel.plot(
            x_of(held_out),
            held_out.values,
            color=colour,
            linestyle=dash,
            linewidth=1.8,
            marker="o",
            markersize=4,
            markevery=max(1, len(held_out.values) // 25),
        )


def _value_range(runs: list[CurvesOfRun], what: What) -> tuple[float, float]:
    """Limits of the value axis: the first steps, far above the rest, may leave at the top."""
    lows, highs = [], []
    for run in runs:
        for curve in (_smooth(_every_step(run, what)), _held_out(run, what)):
            if len(curve.values):
                lows.append(curve.values.min())
                settled = curve.values[len(curve.values) // 20 :]
                highs.append(settled.max())
    low, high = min(lows), max(highs)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def _token_unit(runs: list[CurvesOfRun]) -> tuple[float, str]:
    """Tokens per unit of the axis, and the unit's name for its label."""
    curves = [c for run in runs for c in (run.train_loss, run.held_out_loss, run.held_out_bpb)]
    most = max(curve.tokens.max(initial=0.0) for curve in curves)
    if most >= 1e6:
        return 1e6, " (millions)"
    return (1e3, " (thousands)") if most >= 1e4 else (1.0, "")


def _add_legend(panel: Axes, runs: list[CurvesOfRun], what: What) -> None:
    """Colours name the runs, with their last held-out value; greys name the kinds of line."""
    from matplotlib.lines import Line2D

    handles = []
    for number, run in enumerate(runs):
        colour, dash = style(number)
        last = _held_out(run, what).values[-1:]
        label = run.label + (f"  (held-out {last[0]:.3f})" if len(last) else "")
        handles.append(Line2D([], [], color=colour, linestyle=dash, linewidth=2.5, label=label))
    if what == "loss":
        handles += [
            Line2D([], [], color="0.4", linewidth=1.8, marker="o", markersize=4, label="held-out"),
            Line2D([], [], color="0.4", linewidth=1.2, alpha=0.55, label="training, smoothed"),
        ]
    panel.legend(handles=handles, loc="upper right", frameon=False, fontsize=9)


def _held_out(run: CurvesOfRun, what: What) -> Curve:
    """The few values that are drawn as they are."""
    return {"loss": run.held_out_loss, "bpb": run.held_out_bpb, "speed": _NOTHING}[what]


def _every_step(run: CurvesOfRun, what: What) -> Curve:
    """The many values that are smoothed."""
    return {"loss": run.train_loss, "bpb": _NOTHING, "speed": run.speed}[what]


def _require_values(run: CurvesOfRun, what: What) -> None:
    if len(_held_out(run, what).values):
        return
    if what == "bpb":
        raise UserError(f"{run.label} has no held-out values yet: draw it with --what loss")
    if not len(_every_step(run, what).values):
        raise UserError(f"{run.label} has nothing to draw yet: its metrics hold no training step")


def distinct_labels(runs: list[CurvesOfRun], paths: list[Path]) -> list[CurvesOfRun]:
    """Runs of the same name in different folders are told apart by their paths."""
    labels = [run.label for run in runs]
    return [
        dataclasses.replace(run, label=str(path)) if labels.count(run.label) > 1 else run
        for run, path in zip(runs, paths, strict=True)
    ]
