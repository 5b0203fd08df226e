"""What `vidya.monitor` shows of a run: one frame, for a terminal of any size."""

from __future__ import annotations

import contextlib
import datetime
import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from vidya.errors import UserError
from vidya.model.presets import checkpoint_base
from vidya.reporting.run_history import HeldOutPoint, RunHistory
from vidya.storage.checkpoint_folder import step_of_name, training_checkpoints
from vidya.storage.run_files import RunFiles
from vidya.storage.run_folder import preparation, training_process
from vidya.terminal.braille_plot import EMPTY, column_means, draw_curve
from vidya.terminal.formatting import byte_size, duration, fitting, plural
from vidya.terminal.progress_display import RunningMean
from vidya.training.run_changes import in_words

_SMOOTHED = 100  # steps in the speed that is told
_LEAST_PLOT = 4  # lines of a picture that is worth drawing
_SIDE_BY_SIDE = 72  # columns for two pictures beside one another
_CHANGES = 3  # that are shown, the last
_LABEL = 7  # columns left of a picture


@dataclass(frozen=True)
class Glance:
    """What is known of a run, apart from its metrics, at one moment."""

    folder: Path
    now: datetime.datetime
    """With a time zone."""
    process: int | None
    """Which one trains; 0 if unknown, None if none does."""
    checkpoint: str | None
    """Which is the newest."""
    checkpoint_age: float
    """Seconds since it was written."""
    samples: list[str]
    """The last block of samples.txt, line by line."""
    preparing: str = ""
    """What is prepared before the first step: `preparing: tokens 40 %`; nothing: nothing is."""


def glance(folder: Path, history: RunHistory) -> Glance:
    """Look at the run folder now."""
    now = datetime.datetime.now().astimezone()
    name, age = None, 0.0
    # nothing is saved or described yet, or it was deleted meanwhile
    with contextlib.suppress(LookupError, OSError, UserError):
        base = checkpoint_base(history.description["options"]["preset"])
        newest = training_checkpoints(folder, base)[0]
        name = f"saved at step {step_of_name(newest.name, base):,}"
        age = max(0.0, now.timestamp() - newest.stat().st_mtime)
    process = training_process(folder)
    return Glance(
        folder, now, process, name, age, _last_samples(RunFiles(folder).samples),
        preparation(folder),
    )  # fmt: skip


def _last_samples(path: Path) -> list[str]:
    try:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    blocks = [block for block in text.split("\n\n") if block.startswith("step ")]
    return blocks[-1].splitlines() if blocks else []


def frame(history: RunHistory, seen: Glance, width: int, height: int) -> list[Text]:
    """At most `height` lines of at most `width` columns."""
    lines = _figures(history, seen, width)
    samples = [*map(Text, seen.samples)]
    if samples:
        samples[0] = Text(f"replies at {seen.samples[0]}", style="bold")
    room = height - len(lines)
    # a picture is worth more than the third reply
    samples = samples[: max(0, min(len(samples), room // 3, room - _LEAST_PLOT - 2))]
    plots = _plots(history, width, room - len(samples))
    shown = [*lines, *plots, *samples][:height]
    for line in shown:
        line.no_wrap = True
        line.truncate(width)
    return shown


# ---- figures ------------------------------------------------------------------------


def total_steps(history: RunHistory) -> int | None:
    """Length of the run, when it is known."""
    steps = history.description.get("options", {}).get("steps")
    return steps if isinstance(steps, int) else None


def _figures(history: RunHistory, seen: Glance, width: int) -> list[Text]:
    description, total = history.description, total_steps(history)
    if seen.preparing:
        state = seen.preparing
    elif seen.process is not None:
        state = f"running, process {seen.process}" if seen.process else "running"
    else:
        state = "finished" if total and history.last.get("step", 0) >= total else "stopped"
    more = []
    if description:
        numbers = f"{description.get('precision')}, threads {description.get('threads')}"
        more = [str(description["options"].get("preset")), numbers]
    folder = str(seen.folder)
    room = max(width - len(state) - 1, len(seen.folder.name))
    if len(folder) > room:  # its end tells more than its beginning
        folder = "…" + folder[len(folder) - room + 1 :]
    title = Text(f"{folder} ", style="bold")
    title.append(state, style="yellow" if seen.process is None else "green")
    rest = fitting([title.plain, *more], width)[len(title.plain) :]
    title.append(rest, style="not bold")
    if not history.last:
        return [title, Text("no training step yet: its curves appear here with the first ones")]
    lines = [title, _progress(history, seen, width)]
    rows = [_losses(history), _speed(history), _step(history), _checkpoints(history, seen)]
    lines += [Text(fitting(row, width)) for row in rows]
    return lines + [Text(text) for text in _changes(history)]


def _progress(history: RunHistory, seen: Glance, width: int) -> Text:
    """Step of how many, a bar, and when it will be done."""
    step, total = int(history.last["step"]), total_steps(history)
    if not total:
        return Text(f"step {step:,}")
    parts = [f"step {step:,} of {total:,} ({step / total:.1%})"]
    first, last = history.recent[0], history.recent[-1]
    seconds, steps = last["time_s"] - first["time_s"], last["step"] - first["step"]
    if step < total and seconds and steps > 0:
        left = (total - step) * (float(seconds) / steps)  # evaluations included
        parts.append(f"{duration(left)} left")
        if seen.process is not None:
            end = seen.now + datetime.timedelta(seconds=left)
            parts.append(f"done {end:%a %d %b %H:%M}")
    text = fitting(parts, width)
    bar = min(width - len(text) - 1, 40)
    if bar < 10:
        return Text(text)
    full = bar * step // total
    line = Text(text + " ").append("━" * full, style="green")
    return line.append("━" * (bar - full), style="bright_black")


def _losses(history: RunHistory) -> list[str]:
    mean = RunningMean()  # as beside the bar of the training
    for line in history.recent:
        mean.add(line["loss"])
    parts = [f"loss {mean.value:.4f}"]
    if history.evaluations:
        held_out = history.evaluations[-1]
        best = min(one.bits_per_byte for one in history.evaluations)
        parts += [
            f"unseen text {held_out.bits_per_byte:.4f} bits/byte at step {held_out.step:,}",
            f"best {best:.4f} (lower is better)",
            *_usual(history, held_out),
            f"its loss {held_out.loss:.4f}",
        ]
    return parts


def _usual(history: RunHistory, held_out: HeldOutPoint) -> list[str]:
    """What a measured run had after as many tokens; nothing where there was none."""
    curve = history.reference()
    bits = curve.bits_at(held_out.tokens) if curve is not None else None
    return [f"{curve.name} had {bits:.3f} then"] if curve is not None and bits is not None else []


def _speed(history: RunHistory) -> list[str]:
    last, recent = history.last, list(history.recent)[-_SMOOTHED:]
    # tokens_per_s is of a step alone: weighed by time, not by steps
    tokens = [after["tokens"] - before["tokens"] for before, after in itertools.pairwise(recent)]
    speeds = [line["tokens_per_s"] for line in recent[1:]]
    seconds = sum(count / speed for count, speed in zip(tokens, speeds, strict=True))
    now = sum(tokens) / seconds if seconds else last["tokens_per_s"]
    return [
        f"{now:,.0f} tokens/s now",
        f"{last['tokens'] / max(1e-9, last['time_s']):,.0f} average",
        f"{last['tokens']:,} tokens",
        f"trained {duration(last['time_s'])}",
    ]


def _step(history: RunHistory) -> list[str]:
    last = history.last
    figures = [f"learning rate {last['lr']:.2e}", f"gradient norm {last['grad_norm']:.2f}"]
    spikes = [plural(history.spikes, "spike")] if history.spikes else []
    return [*figures, f"{byte_size(last['rss_bytes'])} of memory", *spikes]


def _checkpoints(history: RunHistory, seen: Glance) -> list[str]:
    if seen.checkpoint is None:
        return ["no training checkpoint yet"]
    parts = [seen.checkpoint, f"{duration(seen.checkpoint_age)} ago"]
    if history.longest_stall_ms is not None:
        parts.append(f"saves stalled at most {history.longest_stall_ms:.1f} ms")
    return parts


def _changes(history: RunHistory) -> list[str]:
    """What the run was told anew, the last few times."""
    told = [
        f"changed at step {line['step']:,}: {in_words(line['changes'])}"
        for line in history.changes[-_CHANGES:]
    ]
    more = len(history.changes) - len(told)
    return [*([f"changed {plural(more, 'time')} before"] if more else []), *told]


# ---- pictures and samples -----------------------------------------------------------


@dataclass(frozen=True)
class _Picture:
    """A curve to draw over the steps of a run, and what lies beneath it."""

    title: str
    style: str
    steps: Sequence[float]
    values: Sequence[float]
    reference: Sequence[tuple[float, float]] = ()
    """Steps and values of a measured run, drawn pale."""


def _plots(history: RunHistory, width: int, height: int) -> list[Text]:
    """Loss of training and bits per byte of unseen text: beside one another, or one above."""
    steps, losses = history.training_curve()
    if not steps or height < _LEAST_PLOT:
        return []
    pictures = [_Picture("loss, training text", "cyan", steps, losses)]
    held_out = [(one.step, one.bits_per_byte) for one in history.evaluations]
    if len(held_out) > 1:
        at, values = zip(*held_out, strict=True)
        title, reference = "bits per byte, unseen text", _reference_points(history)
        title += f" (pale: {reference[0]})" if reference else ""
        points = reference[1] if reference else ()
        pictures.append(_Picture(title, "magenta", at, values, points))
    last = float(history.last["step"])
    if len(pictures) == 2 and width >= _SIDE_BY_SIDE:
        left, right = (_plot(one, last, (width - 2) // 2, height) for one in pictures)
        for line, other in zip(left, right, strict=True):
            line.pad_right((width - 2) // 2 - line.cell_len + 2)
            line.append_text(other)
        return left
    if len(pictures) == 2 and height // 2 >= _LEAST_PLOT:
        return [line for one in pictures for line in _plot(one, last, width, height // 2)]
    return _plot(pictures[0], last, width, height)


def _reference_points(history: RunHistory) -> tuple[str, list[tuple[float, float]]] | None:
    """The name of a measured run, and its points at the steps where this one had its tokens."""
    curve = history.reference()
    step, tokens = history.last["step"], history.last["tokens"]
    if curve is None or not tokens:
        return None
    points = [(count * step / tokens, bits) for count, bits in curve.points if count <= tokens]
    end = curve.bits_at(tokens)
    return curve.name, [*points, *([(float(step), end)] if end is not None else [])]


def _plot(picture: _Picture, last: float, width: int, height: int) -> list[Text]:
    """A title, the curve with its range on the left, and the steps below: `height` lines."""
    rows, columns = height - 2, max(4, width - _LABEL)
    xs, ys = column_means(picture.steps, picture.values, 2 * columns, (0.0, last))
    low, high = _value_range(ys)
    inside = [(at, value) for at, value in picture.reference if low <= value <= high]
    draw = functools.partial(
        draw_curve, width=columns, height=rows, x=(0.0, last), y=(low, high)
    )  # fmt: skip
    drawn = draw(xs, ys)
    below = draw(*zip(*inside, strict=True)) if inside else [""] * rows
    lines = [Text(" " * _LABEL + picture.title, style="bold")]
    for number, (row, pale) in enumerate(zip(drawn, below, strict=True)):
        value = high - (high - low) * number / max(1, rows - 1)
        labelled = number in (0, rows - 1) or (rows > 6 and number == rows // 2)
        label = f"{value:.3f}" if labelled else ""
        line = Text(f"{label:>{_LABEL - 1}} ")
        letters = itertools.zip_longest(row, pale, fillvalue=EMPTY)
        for own, some in itertools.groupby(letters, lambda pair: pair[0] != EMPTY):
            text = "".join(letter if own else under for letter, under in some)
            line.append(text, style=picture.style if own else "bright_black")
        lines.append(line)
    end = f"{last:,.0f} steps"
    lines.append(Text(" " * _LABEL + "0" + end.rjust(columns - 1)))
    return lines


def _value_range(values: Sequence[float]) -> tuple[float, float]:
    """What the picture shows: the first twentieth, far above the rest, may leave at the top."""
    low, high = min(values), max(values[len(values) // 20 :])
    margin = 0.02 * (high - low) or 0.5
    return low - margin, high + margin
