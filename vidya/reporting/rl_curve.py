"""The course of a run of reinforcement learning as a picture: `vidya.plot RUN --what rl`.

Four panels against steps: the length of replies, with the target where the reward has one in
tokens; the reward; the divergence from the base model; by how much the held-out loss has
changed. Steps are drawn pale, their running mean strong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vidya.errors import UserError
from vidya.reporting.figure_style import (
    Floats,
    drawn,
    new_figure,
    numbers_of,
    plain_panel,
    style,
    window_means,
)
from vidya.storage.metrics_log import read_metrics
from vidya.storage.run_files import RunFiles


@dataclass(frozen=True)
class RlCurve:
    """What was measured in one run: arrays of a number a step, or an evaluation."""

    title: str
    steps: Floats
    tokens: Floats
    """Mean length of the replies."""
    reward: Floats
    divergence: Floats
    """KL from the base model, nats per token."""
    evaluated: Floats
    """Steps at which the held-out loss was measured."""
    held_out: Floats
    """Nats per token."""
    target: float | None = None
    """The length that was rewarded, in tokens."""
    most_forgetting: float | None = None


def read_rl(path: Path) -> RlCurve:
    """The newest run that a run folder's `rl.jsonl`, or that file, tells of.

    Raises:
        UserError: there is none, or it came to no step.
    """
    file = RunFiles(path).rl_metrics if path.is_dir() else path
    if not file.exists():
        raise UserError(f"no reinforcement learning at {file}: run python -m vidya.rl")
    lines = read_metrics(file, on_damaged=lambda number: None)
    begins = [number for number, line in enumerate(lines) if line.get("kind") == "rl"]
    about = lines[begins[-1]] if begins else {}
    lines = lines[begins[-1] + 1 :] if begins else lines
    steps = _table(lines, ("step", "reply_tokens", "reward", "kl"))
    evaluations = _table(lines, ("step", "val_loss"))
    if not len(steps):
        raise UserError(f"{file} has nothing to draw yet: no step is done")
    at, tokens, reward, divergence = steps.T
    evaluated, held_out = evaluations.T
    folder = (path if path.is_dir() else path.parent).resolve().name
    given = [str(word) for word in about.get("settings", [])]
    return RlCurve(
        f"{folder}: {' '.join([str(about.get('reward', '')), *given])}",
        at, tokens, reward, divergence, evaluated, held_out, _target(about, given),
        about.get("options", {}).get("most_forgetting"),
    )  # fmt: skip


def _table(lines: Sequence[dict[str, Any]], fields: tuple[str, ...]) -> Floats:
    """[lines that have all fields, fields]."""
    rows = [numbers for line in lines if (numbers := numbers_of(line, fields))]
    return np.array(rows, np.float64).reshape(-1, len(fields))


def _target(about: dict[str, Any], given: list[str]) -> float | None:
    if about.get("reward") != "vidya.rewards:length" or "unit=words" in given:
        return None
    found = [word.partition("=")[2] for word in given if word.startswith("target=")]
    return float(found[0]) if found else 20.0


def draw_rl(curve: RlCurve) -> Figure:
    """The figure of a run."""
    figure = new_figure(height=6.6)
    figure.suptitle(drawn(curve.title), fontsize=11)
    (length, reward), (divergence, forgetting) = figure.subplots(2, 2, sharex=True)
    _course(length, curve.steps, curve.tokens, 0)
    length.set_ylabel("length of replies (tokens)")
    length.set_ylim(bottom=0)
    if curve.target is not None:
        _mark(length, curve.target, "target")
    _course(reward, curve.steps, curve.reward, 2)
    reward.set_ylabel("reward")
    _course(divergence, curve.steps, curve.divergence, 3)
    divergence.set_ylabel("KL from the base model\n(nats per token)")
    forgetting.set_ylabel("held-out loss against before (%)")
    if len(curve.held_out):
        change = 100 * (curve.held_out / curve.held_out[0] - 1)
        forgetting.plot(curve.evaluated, change, color=style(1)[0], marker="o", markersize=4)
        if curve.most_forgetting is not None and np.isfinite(curve.most_forgetting):
            _mark(forgetting, 100 * curve.most_forgetting, "--most-forgetting")
    for panel in figure.axes:
        plain_panel(panel)
    for panel in (divergence, forgetting):
        panel.set_xlabel("steps")
    return figure


def _course(panel: Axes, steps: Floats, values: Floats, number: int) -> None:
    """The values of every step pale, and strong their mean over a twentieth of the steps."""
    colour, _ = style(number)
    half, at = max(1, len(values) // 40), np.arange(len(values))
    means = window_means(values, np.maximum(at - half, 0), np.minimum(at + half + 1, len(values)))
    panel.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
    panel.plot(steps, means, color=colour, linewidth=1.8)


def _mark(panel: Axes, at: float, what: str) -> None:
    panel.axhline(at, color="0.4", linestyle="--", linewidth=1.0)
    panel.annotate(
        what, (1.0, at), xycoords=("axes fraction", "data"), ha="right", va="top",
        fontsize=9, color="0.3",
    )  # fmt: skip
