"""How soon a training is as good as another: vidya's recipes and PyTorch in the same minutes.

    python bench/time_to_quality.py --data all.txt --val val.txt --minutes 10
        [--vidya plan fast "fast --lr 2e-3"] [--torch windows:512 stream:1024] [--seeds 1 2 3]

All have the shape of `--preset`, one tokenizer, corpus and held-out text, and PyTorch has the
plan's first weights, rate, schedule and Adam. First every contender's step is timed,
alternating in one run, PyTorch eager and compiled, in fp32 and in bf16: its best mode counts.
That gives the number of steps that each makes in the minutes. Then each trains for so many,
schedule included, the order reversed for every second seed. The result of a training does not
depend on the load of the machine, its minutes are steps times measured seconds: so trainings may
run beside other work, and what was trained already is not trained again (`--out`).

The anchor is the PyTorch training that ends best. Printed: bits per byte at the end, and the
minutes until a training first had what the anchor ends with.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from contenders import TORCH_WAYS, Contender, Torch, Vidya, prepared
from machine import describe, summary
from report import table
from steps import SETTLE

from vidya import kernels
from vidya.model.presets import PRESETS
from vidya.storage.run_folder import RunFolder
from vidya.system.atomic_file import atomic_write
from vidya.training.options import TrainOptions
from vidya.training.run_corpora import RunCorpora

ROUNDS, TURN_STEPS = 7, 6
"""Turns of each contender, and steps of a turn, when speeds are measured."""


@dataclass(frozen=True)
class Point:
    """Held-out loss at some step of a training."""

    step: int
    tokens: int
    minutes: float
    """Steps times the measured seconds of one; evaluations are not counted."""
    bits_per_byte: float


@dataclass(frozen=True)
class Training:
    """One training to its end."""

    name: str
    seed: int
    seconds_per_step: float
    curve: tuple[Point, ...]

    @property
    def end(self) -> Point:
        """Its last point."""
        return self.curve[-1]

    def minutes_to(self, bits_per_byte: float) -> float | None:
        """Minutes until it was first as good, on the line between two points; None: never."""
        before: Point | None = None
        for point in self.curve:
            if point.bits_per_byte <= bits_per_byte:
                if before is None:
                    return point.minutes
                fall = before.bits_per_byte - point.bits_per_byte
                share = (before.bits_per_byte - bits_per_byte) / fall
                return before.minutes + share * (point.minutes - before.minutes)
            before = point
        return None


# ---- speeds -----------------------------------------------------------------------------------


def measure_speeds(
    contenders: Sequence[Contender], rounds: int = ROUNDS, clock: Callable[[], float] | None = None
) -> dict[str, float]:
    """Median seconds of a step of each, from turns that alternate in order.

    Steps are those of the first pass that follow each other, so all see the same text. The
    first turn of each warms up and does not count. What is trained so is thrown away.
    """
    clock = clock or time.perf_counter
    times: dict[str, list[float]] = {one.name: [] for one in contenders}
    for turn in range(rounds + 1):
        for one in contenders if turn % 2 else contenders[::-1]:
            time.sleep(SETTLE)
            start = clock()
            for number in range(turn * TURN_STEPS, (turn + 1) * TURN_STEPS):
                one.step(number, 10**6)
            if turn:
                times[one.name].append((clock() - start) / TURN_STEPS)
    return {name: statistics.median(some) for name, some in times.items()}


def best_torch_modes(speeds: dict[str, float], modes: dict[str, Sequence[str]]) -> dict[str, str]:
    """The fastest mode's name of each kind of PyTorch training."""
    return {
        kind: min((name for name in names if name in speeds), key=speeds.__getitem__)
        for kind, names in modes.items()
    }


# ---- trainings --------------------------------------------------------------------------------


def train(
    contender: Contender, seed: int, seconds: float, steps: int, evaluations: int, most: int
) -> Training:
    """Train from a seed's weights for so many steps, measured at equal distances.

    Args:
        contender: who trains.
        seed: of weights, order and dropout.
        seconds: of a step, as measured.
        steps: to make.
        evaluations: of the held-out loss, the last at the end.
        most: tokens of held-out text to measure on.
    """
    contender.reset(seed)
    at = sorted({round(steps * (k + 1) / evaluations) for k in range(evaluations)} - {0})
    curve, tokens = [], 0
    for number in range(steps):
        tokens += contender.step(number, steps)
        if number + 1 in at:
            bits = contender.bits_per_byte(most)
            if not math.isfinite(bits):
                raise SystemExit(f"error: {contender.name} diverged")
            curve.append(Point(number + 1, tokens, (number + 1) * seconds / 60, bits))
            say(f"{contender.name}, seed {seed}: step {number + 1:,} of {steps:,}: {bits:.4f}")
    return Training(contender.name, seed, seconds, tuple(curve))


def read_trainings(path: Path) -> dict[str, Any]:
    """What earlier runs measured: "speeds" by name and "trainings"; empty without a file."""
    if not path.exists():
        return {"speeds": {}, "trainings": []}
    found = json.loads(path.read_text(encoding="utf-8"))
    curves = [
        Training(one["name"], one["seed"], one["seconds_per_step"],
                 tuple(Point(**point) for point in one["curve"]))
        for one in found["trainings"]
    ]  # fmt: skip
    return {**found, "trainings": curves}


def write_trainings(path: Path, speeds: dict[str, float], trainings: Sequence[Training]) -> None:
    """Replace the file of results."""
    text = json.dumps(
        {
            "machine": describe(),
            "speeds": speeds,
            "trainings": [asdict(one) for one in trainings],
        },
        indent=1,
    )
    atomic_write(path, lambda file: file.write(text.encode() + b"\n"))


# ---- the report -------------------------------------------------------------------------------


def anchor_of(trainings: Sequence[Training]) -> str | None:
    """The PyTorch contender whose trainings end best in the mean; None without any."""
    ends: dict[str, list[float]] = {}
    for one in trainings:
        if one.name.startswith("torch"):
            ends.setdefault(one.name, []).append(one.end.bits_per_byte)
    return min(ends, key=lambda name: statistics.fmean(ends[name])) if ends else None


def report(trainings: Sequence[Training]) -> str:
    """A line a contender: speed, tokens, bits per byte at the end, and how soon it was there."""
    anchor = anchor_of(trainings)
    goal = None
    if anchor is not None:
        goal = statistics.fmean(t.end.bits_per_byte for t in trainings if t.name == anchor)
    rows = []
    for name in dict.fromkeys(one.name for one in trainings):
        own = [one for one in trainings if one.name == name]
        ends = [one.end.bits_per_byte for one in own]
        spread = f" ({min(ends):.4f} to {max(ends):.4f})" if len(own) > 1 else ""
        row = [
            name, f"{own[0].seconds_per_step:.3f}",
            f"{own[0].end.tokens / own[0].end.minutes / 60:,.0f}", f"{own[0].end.step:,}",
            f"{own[0].end.tokens / 1e6:.2f} M", f"{statistics.fmean(ends):.4f}{spread}",
        ]  # fmt: skip
        if goal is not None:
            row.append(f"{statistics.fmean(ends) / goal - 1:+.1%}")
            there = [one.minutes_to(goal) for one in own]
            known = [minutes for minutes in there if minutes is not None]
            if len(known) < len(there):
                row += ["never", "-"]
            else:
                mean = statistics.fmean(known)
                row += [f"{mean:.2f}", f"{mean / own[0].end.minutes:.2f}"]
        rows.append(row)
    header = ["training", "s a step", "tokens/s", "steps", "tokens", "bits per byte at the end"]
    if goal is not None:
        header += [f"against {anchor}", f"minutes to its {goal:.4f}", "share of the minutes"]
    return table(header, rows)


def draw(trainings: Sequence[Training], path: Path) -> None:
    """Bits per byte over minutes and over tokens, a line a training, as a picture."""
    from vidya.reporting.figure_style import new_figure, plain_panel, style

    figure = new_figure()
    names = list(dict.fromkeys(one.name for one in trainings))
    for panel, along in zip(figure.subplots(1, 2), ("minutes", "tokens"), strict=True):
        for one in trainings:
            colour, dash = style(names.index(one.name))
            first = one is next(t for t in trainings if t.name == one.name)
            panel.plot(
                [getattr(point, along) for point in one.curve],
                [point.bits_per_byte for point in one.curve],
                color=colour, linestyle=dash, label=one.name if first else None,
            )  # fmt: skip
        panel.set_xlabel(along)
        panel.set_ylabel("held-out bits per byte")
        plain_panel(panel)
        lowest = min(point.bits_per_byte for one in trainings for point in one.curve)
        later = [p.bits_per_byte for t in trainings for p in t.curve[1:]] or [lowest + 1]
        panel.set_ylim(0.98 * lowest, 1.02 * max(later))
    figure.axes[0].legend(frameon=False)
    figure.savefig(path)


# ---- the command ------------------------------------------------------------------------------


def vidya_options(words: str, base: TrainOptions) -> TrainOptions:
    """A recipe's name, or one and options of `vidya.train`, over the options all share."""
    import tyro

    name, *more = shlex.split(words)
    return tyro.cli(TrainOptions, args=["--recipe", name, *more], default=base)


def torch_kind(text: str) -> tuple[str, int]:
    """A way and tokens of a step, from such as windows:512."""
    way, _, tokens = text.partition(":")
    if way not in TORCH_WAYS or not tokens.isdigit() or not int(tokens):
        raise argparse.ArgumentTypeError(
            f"give {' or '.join(TORCH_WAYS)}, a colon and tokens a step, not {text}"
        )
    return way, int(tokens)


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="10m", choices=list(PRESETS))
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--val", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--vidya", nargs="*", default=["plan", "fast"], metavar="RECIPE OPTIONS")
    parser.add_argument("--torch", nargs="*", type=torch_kind, metavar="WAY:TOKENS",
                        default=[("windows", 512), ("stream", 1024)])  # fmt: skip
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--threads", type=int, default=kernels.usable_cores())
    parser.add_argument("--precision", nargs="+", default=["fp32"], choices=["fp32", "bf16"],
                        help="tried by PyTorch; the first is vidya's")  # fmt: skip
    parser.add_argument("--evaluations", type=int, default=30)
    parser.add_argument("--eval-tokens", type=int, default=65536)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--out", type=Path, default=Path("runs/time_to_quality"))
    given = parser.parse_args(arguments)
    if given.minutes <= 0 or given.evaluations < 1 or given.rounds < 1:
        parser.error("minutes, evaluations and rounds must be positive")
    return given


def contenders_of(
    given: argparse.Namespace, base: TrainOptions, folder: RunFolder, corpora: RunCorpora
) -> tuple[list[Vidya], dict[str, list[Torch]]]:
    """Vidya's trainings, and PyTorch's by kind in every mode to try."""
    ours = [
        Vidya(f"vidya {words}", vidya_options(words, base), folder, corpora)
        for words in given.vidya
    ]
    theirs: dict[str, list[Torch]] = {}
    for way, tokens in given.torch:
        for precision in given.precision:
            for compiled in (False, True) if way == "stream" else (False,):
                mode = f"torch {way} {tokens} {'compile' if compiled else 'eager'} {precision}"
                theirs.setdefault(f"{way} {tokens}", []).append(
                    Torch(mode, base, folder, corpora, way=way, tokens=tokens, compiled=compiled,
                          precision=precision, threads=given.threads)
                )  # fmt: skip
    return ours, theirs


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure speeds, train what is missing, print the table, draw the picture."""
    given = parse(arguments)
    base = TrainOptions(
        preset=given.preset, recipe="plan", data=tuple(given.data), val=given.val,
        threads=given.threads, precision=given.precision[0], out=given.out,
    )  # fmt: skip
    base.check()
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "results.json"
    found = read_trainings(path)
    speeds, trainings = found["speeds"], found["trainings"]
    with prepared(given.out / "prepared", base) as (folder, corpora):
        ours, theirs = contenders_of(given, base, folder, corpora)
        everybody: list[Contender] = [*ours, *(one for some in theirs.values() for one in some)]
        unknown = [one for one in everybody if one.name not in speeds]
        if unknown:
            speeds |= measure_speeds(everybody, given.rounds)
            write_trainings(path, speeds, trainings)
            for one in everybody:
                say(f"{one.name}: {speeds[one.name]:.3f} s a step")
        best = best_torch_modes(speeds, {kind: [o.name for o in s] for kind, s in theirs.items()})
        chosen = [one for one in everybody if isinstance(one, Vidya) or one.name in best.values()]
        for turn, seed in enumerate(given.seeds):
            for one in chosen if turn % 2 == 0 else chosen[::-1]:
                steps = max(1, round(60 * given.minutes / speeds[one.name]))
                same = (t for t in trainings if (t.name, t.seed) == (one.name, seed))
                if any(t.end.step == steps for t in same):
                    continue
                done = train(
                    one, seed, speeds[one.name], steps, given.evaluations, given.eval_tokens
                )
                trainings = [*trainings, done]
                write_trainings(path, speeds, trainings)
    names = {one.name for one in chosen}
    mine = [t for t in trainings if t.name in names and t.seed in given.seeds]
    mine = [t for t in mine if t.end.step == max(1, round(60 * given.minutes / speeds[t.name]))]
    print(f"On {summary(describe())}; {given.minutes:g} minutes of {given.preset}:\n")
    print(report(mine))
    draw(mine, given.out / "curves.png")
    say(f"drawn as {given.out / 'curves.png'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
