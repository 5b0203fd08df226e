"""Which models there are: what a run folder holds, in a line of a table or on a page."""

from __future__ import annotations

import contextlib
import datetime
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidya.errors import UserError
from vidya.model.config import ModelConfig
from vidya.storage.checkpoint_format import read_meta
from vidya.storage.find_model import RUNS, checkpoints_in, resolve_model, run_folders
from vidya.storage.model_story import story
from vidya.storage.run_activity import last_activity
from vidya.storage.run_files import RunFiles
from vidya.storage.run_folder import training_process
from vidya.terminal.formatting import byte_size, plural
from vidya.terminal.line_breaks import cells

_TAIL = 1 << 22
"""Bytes at the end of a metrics file in which the last held-out loss is looked for."""


@dataclass(frozen=True)
class RunOverview:
    """What a run folder holds."""

    folder: Path
    state: str
    """`ready`, `training`, or why there is no model to use."""
    size: str
    """Preset and number of parameters."""
    text: str
    """Names of the files that it was trained on."""
    steps: int
    loss: float | None
    """The last held-out loss, nats a token."""
    since: tuple[str, ...]
    """What was done to it after its training."""
    used: float
    """When it was last worked on, seconds since 1970."""
    checkpoint: Path | None
    """What a command would use."""

    @property
    def when(self) -> str:
        """The day and minute of the last work on it."""
        with contextlib.suppress(OverflowError, OSError, ValueError):
            return datetime.datetime.fromtimestamp(self.used).strftime("%Y-%m-%d %H:%M")
        return "?"


def overview(folder: Path) -> RunOverview | None:
    """What a folder holds; None where it is no run folder of vidya."""
    run, some = RunFiles(folder), checkpoints_in(folder)
    if not some and not run.has_metrics():
        return None
    checkpoint, meta, state = None, {}, "ready"
    try:
        checkpoint, _ = resolve_model(folder, tell=lambda _: None)
        meta = read_meta(checkpoint)
    except UserError as error:
        state = "no model yet" if not some else str(error)
    if training_process(folder) is not None:
        state = "training" if run.has_metrics() or not some else "in use"
    described = _first_line(run.metrics)
    options = described.get("options") or meta.get("options") or {}
    data = options.get("data") if isinstance(options, dict) else None
    return RunOverview(
        folder=folder,
        state=state,
        size=_size(meta, described),
        text=", ".join(Path(str(name)).name for name in data or []) or "chitchat",
        steps=int(meta.get("step") or 0),
        loss=_last_held_out(run.metrics),
        since=tuple(story(checkpoint, meta)) if checkpoint else (),
        used=last_activity(folder, some),
        checkpoint=checkpoint,
    )


def overviews(root: Path = Path(RUNS)) -> list[RunOverview]:
    """The runs in a folder, that which was worked on last first."""
    found = [one for folder in run_folders(root) if (one := overview(folder)) is not None]
    return sorted(found, key=lambda one: one.used, reverse=True)


def list_lines(found: Sequence[RunOverview], width: int | None = None) -> list[str]:
    """The runs as a table, or one below the other where it is wider than `width` columns."""
    heading = ["name", "size", "trained on", "steps", "loss", "last used", "since then"]
    rows = [heading, *map(_row, found)]
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    table = ["  ".join(map(_padded, row, widths)).rstrip() for row in rows]
    if max(map(cells, table)) <= (width or sys.maxsize):
        return [*table, "", "loss: on text that was not trained on; lower is better"]
    lines = []
    for one in found:
        parts = [one.size, f"trained on {one.text}", plural(one.steps, "step")]
        parts += [f"loss {one.loss:.2f}"] if one.loss is not None else []
        parts += [*one.since, f"last used {one.when}"]
        parts += [one.state] if one.state != "ready" else []
        lines += [one.folder.name, f"  {', '.join(parts)}"]
    return lines


def show_lines(one: RunOverview) -> list[str]:
    """All about one run."""
    run = RunFiles(one.folder)
    own = run.own()
    size = sum(path.stat().st_size for path in own if path.exists())
    count = plural(len(checkpoints_in(one.folder)), "checkpoint")
    loss = "not measured"
    if one.loss is not None:
        guesses = f"as unsure as among {math.exp(min(one.loss, 50.0)):,.0f} equal tokens"
        loss = f"{one.loss:.4f} ({guesses}; lower is better)"
    facts = {
        "state": one.state,
        "size": one.size,
        "trained on": one.text,
        "steps": f"{one.steps:,}",
        "held-out loss": loss,
        "since then": ", ".join(one.since) or "nothing",
        "last used": one.when,
        "weights": str(one.checkpoint) if one.checkpoint else "none",
        "on the disk": f"{byte_size(size)}, {count}",
    }
    return [str(one.folder), *(f"  {name:<14} {fact}" for name, fact in facts.items())]


def _row(one: RunOverview) -> list[str]:
    since = ", ".join(one.since)
    if one.state != "ready":
        since = f"{one.state}{', ' if since else ''}{since}"
    loss = "" if one.loss is None else f"{one.loss:.2f}"
    return [one.folder.name, one.size, one.text, f"{one.steps:,}", loss, one.when, since]


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cells(text))


def _size(meta: dict[str, Any], described: dict[str, Any]) -> str:
    config = meta.get("config") or described.get("config")
    with contextlib.suppress(TypeError, UserError):
        count = ModelConfig(**config).parameter_count()  # type: ignore[arg-type]
        preset = meta.get("preset") or (described.get("options") or {}).get("preset") or "model"
        return f"{preset}, {count / 1e6:.1f} M"
    return "?"


def _first_line(path: Path) -> dict[str, Any]:
    """The line that describes a run, if the file begins with it."""
    with contextlib.suppress(OSError, ValueError), open(path, "rb") as file:
        line = json.loads(file.readline())
        return line if isinstance(line, dict) else {}
    return {}


def _last_held_out(path: Path) -> float | None:
    with contextlib.suppress(OSError, ValueError), open(path, "rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - _TAIL))
        tail = file.read()
        at = tail.rfind(b'"val_loss"')
        if at >= 0:
            start = tail.rfind(b"\n", 0, at) + 1
            value = json.loads(tail[start : tail.find(b"\n", at)])["val_loss"]
            return float(value) if isinstance(value, (int, float)) else None
    return None
