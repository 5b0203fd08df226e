"""The loss of one or several runs as a picture."""

from __future__ import annotations

import dataclasses
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vidya.errors import UserError
from vidya.measuring.reference_curves import ReferenceCurve, reference_curve
from vidya.reporting.figure_style import (
    Floats,
    drawn,
    new_figure,
    numbers_of,
    plain_panel,
    style,
    window_means,
)
from vidya.storage.find_model import by_name
from vidya.storage.metrics_log import each_line
from vidya.storage.run_files import RunFiles
from vidya.terminal.streams import say
from vidya.training.run_changes import OF_NUMBERS, in_words, is_change

What: TypeAlias = Literal["loss", "bpb", "speed"]
_LABELS: dict[What, str] = {
    "loss": "loss (nats per token)",
    "bpb": "held-out loss (bits per byte)",
    "speed": "tokens per second",
}
_FIELDS: dict[What, tuple[str | None, str | None]] = {
    "loss": ("loss", "val_loss"),
    "bpb": (None, "val_bpb"),
    "speed": ("tokens_per_s", None),
}
"""What a metrics line has of it, every step and on held-out text."""
_MARKS_NAMED = 4  # of a run in the legend, the last
_MAX_POINTS = 2000  # more than the panel has pixels is only work


@dataclass(frozen=True)
class Curve:
    """One measured quantity over a run: arrays of equal length."""

    tokens: Floats
    minutes: Floats
    values: Floats


@dataclass(frozen=True)
class ChangeMark:
    """Where a run was told something anew."""

    at: Curve
    """Of one point, whose value has no meaning."""
    text: str


@dataclass(frozen=True)
class CurvesOfRun:
    """What is drawn of one run; either curve may be empty."""

    what: What
    label: str
    every_step: Curve
    """Many values, which are smoothed."""
    held_out: Curve
    """A few values, on held-out text, which are drawn as they are."""
    changes: tuple[ChangeMark, ...] = ()
    reference: ReferenceCurve | None = None
    """A measured run of the same preset and recipe, where bits per byte are drawn."""


def read_curves(path: Path, what: What = "loss") -> CurvesOfRun:
    """The curves of a run folder or of a `metrics.jsonl`.

    `loss` is training and held-out loss in nats per token, `bpb` the held-out bits per byte,
    which compare across tokenizers, `speed` tokens per second.

    Raises:
        UserError: there are no metrics at `path`.
    """
    path = by_name(path)
    file = RunFiles(path).metrics if path.is_dir() else path
    if not file.exists():
        raise UserError(f"no metrics at {file}: name a run folder or a metrics.jsonl")
    with open(file, "rb") as opened:
        if b'{"' not in opened.read(1 << 16):
            raise UserError(f"{file} holds no metrics: name a run folder or a metrics.jsonl")
    rows, changes = (array("d"), array("d")), []
    reference = None
    for line in each_line(
        file, on_damaged=lambda number: say(f"{file}: skipped line {number}, which is damaged")
    ):
        if what == "bpb" and line.get("kind") == "run":
            options = line.get("options") or {}
            reference = reference_curve(options.get("preset"), options.get("recipe") or "plan")
        if is_change(line) and line["changes"].keys() & OF_NUMBERS:
            changes.append(_mark(line))
        for field, values in zip(_FIELDS[what], rows, strict=True):
            if field and (numbers := numbers_of(line, ("tokens", "time_s", field))):
                values.extend((numbers[0], numbers[1] / 60.0, numbers[2]))
    label = path.resolve().name if path.is_dir() else file.resolve().parent.name
    every_step, held_out = map(_curve, rows)
    return CurvesOfRun(what, label, every_step, held_out, tuple(changes), reference)


def _mark(line: dict[str, Any]) -> ChangeMark:
    at = _curve(array("d", (line["tokens"], line["time_s"] / 60.0, 0.0)))
    return ChangeMark(at, f"step {line['step']:,}: {in_words(line['changes'])}")


def _curve(values: array[float]) -> Curve:
    """Of tokens, minutes and value in turn; NaN and infinity are left out."""
    table: Floats = np.array(values, np.float64).reshape(-1, 3)
    table = table[np.isfinite(table).all(axis=1)]
    return Curve(table[:, 0], table[:, 1], table[:, 2])


def draw_curves(runs: list[CurvesOfRun]) -> Figure:
    """A figure of one or more runs: against tokens on the left, against minutes on the right.

    Raises:
        UserError: a run has nothing to draw.
    """
    figure, what = new_figure(), runs[0].what
    lacking = "nothing to draw yet: its metrics hold no training step"
    if what == "bpb":
        lacking = "no held-out values yet: draw it with --what loss"
    for run in runs:
        if not len(run.held_out.values) and not len(run.every_step.values):
            raise UserError(f"{run.label} has {lacking}")
    (by_tokens, by_minutes), (unit, name) = figure.subplots(1, 2, sharey=True), _token_unit(runs)
    axes: list[tuple[Axes, str, Callable[[Curve], Floats]]] = [
        (by_tokens, f"tokens trained on{name}", lambda curve: curve.tokens / unit),
        (by_minutes, "training time (minutes)", lambda curve: curve.minutes),
    ]
    for panel, label, x_of in axes:
        for number, run in enumerate(runs):
            _draw_run(panel, run, number, x_of, alone=len(runs) == 1)
        panel.set_xlabel(label)
        plain_panel(panel)
    references = list(dict.fromkeys(run.reference for run in runs if run.reference is not None))
    for reference in references:
        tokens, bits = np.array(reference.points, np.float64).T
        by_tokens.plot(tokens / unit, bits, color="0.6", linestyle=":", linewidth=1.4, zorder=1)
    by_tokens.set_xlim(right=_most_tokens(runs) / unit * 1.05)
    by_tokens.set_ylabel(_LABELS[what])
    by_tokens.set_ylim(*_value_limits(runs))
    _add_legend(by_tokens, runs, references, kinds=what == "loss")
    return figure


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
    panel: Axes, run: CurvesOfRun, number: int, x_of: Callable[[Curve], Floats], *, alone: bool
) -> None:
    colour, dash = style(number)
    held_out, steps = run.held_out, run.every_step
    if len(steps.values):
        if alone:
            thin = slice(None, None, max(1, len(steps.values) // _MAX_POINTS))
            x, y = x_of(steps)[thin], steps.values[thin]
            panel.plot(x, y, color=colour, alpha=0.15, linewidth=0.8)
        smooth = _smooth(steps)
        x, y = x_of(smooth), smooth.values
        panel.plot(x, y, color=colour, linestyle=dash, alpha=0.55, linewidth=1.2)
    for change in run.changes:
        panel.axvline(x_of(change.at)[0], color=colour, linestyle=":", alpha=0.6, linewidth=1.0)
    if len(held_out.values):
        every = max(1, len(held_out.values) // 25)
        panel.plot(
            x_of(held_out), held_out.values, color=colour, linestyle=dash, linewidth=1.8,
            marker="o", markersize=4, markevery=every,
        )  # fmt: skip


def _value_limits(runs: list[CurvesOfRun]) -> tuple[float, float]:
    """Limits of the value axis: the first steps, far above the rest, may leave at the top."""
    curves = [curve for run in runs for curve in (_smooth(run.every_step), run.held_out)]
    values = [curve.values for curve in curves if len(curve.values)]
    low = min(one.min() for one in values)
    high = max(one[len(one) // 20 :].max() for one in values)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def _token_unit(runs: list[CurvesOfRun]) -> tuple[float, str]:
    """Tokens per unit of the axis, and the unit's name for its label."""
    most = _most_tokens(runs)
    if most >= 1e6:
        return 1e6, " (millions)"
    return (1e3, " (thousands)") if most >= 1e4 else (1.0, "")


def _most_tokens(runs: list[CurvesOfRun]) -> float:
    """Tokens that the longest run has trained on."""
    curves = [curve for run in runs for curve in (run.every_step, run.held_out)]
    return float(max(curve.tokens.max(initial=0.0) for curve in curves))


def _add_legend(
    panel: Axes, runs: list[CurvesOfRun], references: list[ReferenceCurve], *, kinds: bool
) -> None:
    """Colours name the runs, with their last held-out value; greys what is beneath, and kinds."""
    handles = []
    for number, run in enumerate(runs):
        colour, dash = style(number)
        last = run.held_out.values[-1:]
        label = drawn(run.label) + (f"  (held-out {last[0]:.3f})" if len(last) else "")
        handles.append(Line2D([], [], color=colour, linestyle=dash, linewidth=2.5, label=label))
        handles += [
            Line2D([], [], color=colour, linestyle=":", linewidth=1.0, label=drawn(change.text))
            for change in run.changes[-_MARKS_NAMED:]
        ]
    handles += [
        Line2D([], [], color="0.6", linestyle=":", linewidth=1.4, label=f"measured: {one.name}")
        for one in references
    ]
    if kinds:
        handles += [
            Line2D([], [], color="0.4", linewidth=1.8, marker="o", markersize=4, label="held-out"),
            Line2D([], [], color="0.4", linewidth=1.2, alpha=0.55, label="training, smoothed"),
        ]
    panel.legend(handles=handles, loc="upper right", frameon=False, fontsize=9)


def distinct_labels(runs: list[CurvesOfRun], paths: list[Path]) -> list[CurvesOfRun]:
    """Runs of the same name in different folders are told apart by their paths."""
    labels = [run.label for run in runs]
    return [
        dataclasses.replace(run, label=str(path)) if labels.count(run.label) > 1 else run
        for run, path in zip(runs, paths, strict=True)
    ]
