"""The picture of runs: what is drawn, and what is said when nothing can be."""

import json
import math
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from support.commands import run_command_process

from vidya.errors import UserError
from vidya.measuring.reference_curves import reference_curve
from vidya.reporting.figure_style import save_figure
from vidya.reporting.loss_curves import draw_curves, read_curves
from vidya.storage.metrics_log import MetricsWriter
from vidya.training.run_changes import change_line


def fake_run(folder: Path, steps: int = 300, final: float = 2.0, evaluations: bool = True) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    with MetricsWriter(folder / "metrics.jsonl") as writer:
        writer.write({"kind": "run", "seed": 0})
        for step in range(1, steps + 1):
            loss = final + 6 * math.exp(-step / 30)
            line = {"step": step, "tokens": 512 * step, "time_s": 6.0 * step}
            writer.write({**line, "loss": np.float32(loss + rng.normal() / 10), "lr": 1e-3})
            if evaluations and step % 50 == 0:
                writer.write({**line, "val_loss": loss + 0.1, "val_bpb": (loss + 0.1) / 3})
    return folder


def plot(*arguments: object, cwd: Path, code: str = "") -> subprocess.CompletedProcess[str]:
    if not code:
        return run_command_process("plot", *arguments, cwd=cwd)
    code += "; import runpy; runpy.run_module('vidya.plot', run_name='__main__', alter_sys=True)"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def png_size(path: Path) -> tuple[int, int]:
    raw = path.read_bytes()
    assert raw.startswith(b"\x89PNG\r\n\x1a\n") and raw.endswith(b"IEND\xaeB`\x82")
    return int.from_bytes(raw[16:20], "big"), int.from_bytes(raw[20:24], "big")


def lines_of(panel) -> list[np.ndarray]:
    return [line.get_xydata() for line in panel.get_lines()]


def test_one_run_goes_into_its_own_folder(tmp_path):
    run = fake_run(tmp_path / "10m")
    done = plot("10m", cwd=tmp_path)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "10m/loss.png\n")
    width, height = png_size(run / "loss.png")
    assert width > 1000 and height > 400


def test_several_runs_go_where_one_is(tmp_path):
    fake_run(tmp_path / "a")
    fake_run(tmp_path / "b")
    done = plot("a", "b/metrics.jsonl", "--what", "bpb", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "bpb.png\n")
    png_size(tmp_path / "bpb.png")


def test_out_names_the_file_and_its_format(tmp_path):
    fake_run(tmp_path / "a")
    assert plot("a", "--out", "x.svg", cwd=tmp_path).returncode == 0
    assert "<svg" in (tmp_path / "x.svg").read_text()


@pytest.mark.parametrize(
    ("options", "what", "drawn"),
    [({"preset": "10m"}, "bpb", True), ({"preset": "10m", "recipe": "plan"}, "bpb", True),
     ({"preset": "100m"}, "bpb", False), ({"preset": "10m"}, "loss", False), (None, "bpb", False)],
)  # fmt: skip
def test_a_measured_run_lies_beneath(tmp_path, options, what, drawn):
    path = fake_run(tmp_path / "10m") / "metrics.jsonl"
    if options is not None:
        first, rest = path.read_text().split("\n", 1)
        path.write_text(json.dumps({**json.loads(first), "options": options}) + "\n" + rest)
    by_tokens, by_minutes = draw_curves([read_curves(path, what)]).axes
    curve = np.array(reference_curve("10m", "plan").points) / [1e3, 1]
    beneath = [line for line in lines_of(by_tokens) if np.array_equal(line, curve)]
    assert len(beneath) == drawn
    named = [label.get_text() for label in by_tokens.get_legend().get_texts()]
    assert ("measured: 10m on chitchat" in named) == drawn
    assert by_tokens.get_xlim()[1] == pytest.approx(1.05 * 153.6)
    assert len(lines_of(by_minutes)) == len(lines_of(by_tokens)) - drawn


def test_both_panels_show_the_measured_values(tmp_path):
    run = read_curves(fake_run(tmp_path / "10m"))
    figure = draw_curves([run])
    by_tokens, by_minutes = figure.axes
    assert by_tokens.get_xlabel() == "tokens trained on (thousands)"
    assert by_minutes.get_xlabel() == "training time (minutes)"
    assert by_tokens.get_ylabel() == "loss (nats per token)"
    raw, smooth, held_out = lines_of(by_tokens)
    steps = np.arange(50, 301, 50)
    assert np.allclose(held_out[:, 0], 512 * steps / 1000)
    assert np.allclose(held_out[:, 1], 2.1 + 6 * np.exp(-steps / 30))
    assert np.allclose(lines_of(by_minutes)[2][:, 0], steps / 10)
    assert len(raw) == 300
    assert np.std(np.diff(smooth[100:, 1])) < 0.5 * np.std(np.diff(raw[100:, 1]))
    low, high = by_tokens.get_ylim()
    assert low < held_out[:, 1].min() and smooth[20:, 1].max() < high < raw[0, 1]


def test_the_legend_names_runs_and_kinds_of_line(tmp_path):
    runs = [read_curves(fake_run(tmp_path / name)) for name in ("10m", "25m")]
    texts = [text.get_text() for text in draw_curves(runs).axes[0].get_legend().get_texts()]
    assert texts == [
        "10m  (held-out 2.100)",
        "25m  (held-out 2.100)",
        "held-out",
        "training, smoothed",
    ]
    colours = {line.get_color() for line in draw_curves(runs).axes[0].get_lines()}
    assert len(colours) == 2


def test_where_a_run_was_changed_is_marked_and_named(tmp_path):
    run = fake_run(tmp_path / "10m")
    with MetricsWriter(run / "metrics.jsonl") as writer:
        for step, changed in ((100, {"lr": [1e-3, 5e-4]}), (200, {"keep": [3, 5]})):
            writer.write(change_line(step, 512 * step, 6.0 * step, changed))
        writer.write({"kind": "change", "changes": "of something else"})
    figure = draw_curves([read_curves(run)])
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert texts[1] == "step 100: --lr 0.001 → 0.0005" and len(texts) == 4
    marks = [
        [line.get_xdata()[0] for line in panel.get_lines() if line.get_linestyle() == ":"]
        for panel in figure.axes
    ]
    assert marks == [[51.2], [10.0]]  # thousands of tokens, minutes


def test_bits_per_byte(tmp_path):
    figure = draw_curves([read_curves(fake_run(tmp_path / "10m"), "bpb")])
    assert figure.axes[0].get_ylabel() == "held-out loss (bits per byte)"
    (line,) = lines_of(figure.axes[0])
    assert np.allclose(line[-1, 1], (2.1 + 6 * math.exp(-10)) / 3)


def test_smoothing_keeps_a_straight_line_and_the_mean(tmp_path):
    folder = tmp_path / "r"
    folder.mkdir()
    with MetricsWriter(folder / "metrics.jsonl") as writer:
        for step in range(1, 10_001):
            loss = 5 - step / 5000
            writer.write({"step": step, "tokens": step, "time_s": step, "loss": loss})
    smooth = lines_of(draw_curves([read_curves(folder)]).axes[1])[1]
    assert len(smooth) <= 2500, "thinned"
    inner = smooth[smooth[:, 0] < 9800 / 60]
    assert np.allclose(inner[:, 1], 5 - inner[:, 0] * 60 / 5000, atol=1e-9)


def test_a_run_without_evaluations_and_a_loss_that_is_not_finite(tmp_path):
    folder = fake_run(tmp_path / "r", steps=5, evaluations=False)
    with MetricsWriter(folder / "metrics.jsonl") as writer:
        writer.write({"step": 6, "tokens": 512 * 6, "time_s": 36.0, "loss": math.nan})
    run = read_curves(folder)
    assert len(run.every_step.values) == 5
    save_figure(draw_curves([run]), tmp_path / "x.png")
    png_size(tmp_path / "x.png")


def test_one_step_is_enough(tmp_path):
    run = read_curves(fake_run(tmp_path / "r", steps=1, evaluations=False))
    save_figure(draw_curves([run]), tmp_path / "x.png")
    png_size(tmp_path / "x.png")


def test_a_damaged_line_is_skipped_and_said(tmp_path):
    folder = fake_run(tmp_path / "r")
    metrics = folder / "metrics.jsonl"
    lines = metrics.read_bytes().splitlines(keepends=True)
    metrics.write_bytes(b"".join([*lines[:9], b"\0\0\n", *lines[9:], b'{"torn']))
    done = plot("r", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == "r/metrics.jsonl: skipped line 10, which is damaged\n"


def test_runs_of_the_same_name_are_told_apart(tmp_path):
    for parent in ("x", "y"):
        fake_run(tmp_path / parent / "10m")
    done = plot("x/10m", "y/10m", "--out", "z.svg", cwd=tmp_path,
                code="import matplotlib; matplotlib.rcParams['svg.fonttype'] = 'none'")  # fmt: skip
    assert done.returncode == 0, done.stderr
    picture = (tmp_path / "z.svg").read_text()
    assert "x/10m" in picture and "y/10m" in picture


def refusal(*arguments: object, cwd: Path, code: str = "") -> str:
    done = plot(*arguments, cwd=cwd, code=code)
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("error: ")
    return done.stderr


def test_refusals_are_one_line(tmp_path):
    fake_run(tmp_path / "good")
    fake_run(tmp_path / "young", steps=3, evaluations=False)
    fake_run(tmp_path / "newborn", steps=0)
    (tmp_path / "empty").mkdir()
    assert "no metrics at nothing" in refusal("nothing", cwd=tmp_path)
    assert "no metrics at empty/metrics.jsonl" in refusal("good", "empty", cwd=tmp_path)
    assert "newborn has nothing to draw yet" in refusal("newborn", cwd=tmp_path)
    assert "--what loss" in refusal("young", "--what", "bpb", cwd=tmp_path)
    assert ".png" in refusal("good", "--out", "x.jpeg", cwd=tmp_path)
    assert "--out" in refusal("good", "--out", "missing/x.png", cwd=tmp_path)
    assert "at least one" in refusal(cwd=tmp_path)
    assert not list(tmp_path.glob("*.png"))


def test_pictures_that_are_drawn_again_and_files_that_stay(tmp_path):
    for name in "ab":
        fake_run(tmp_path / name)
    for _ in range(2):
        assert plot("a", "b", cwd=tmp_path).returncode == 0
    (tmp_path / "mine.png").write_bytes(b"a diary")
    said = refusal("a", "b", "--out", "mine.png", cwd=tmp_path)
    assert "mine.png is there, is not a PNG picture and would be replaced" in said
    theirs = (tmp_path / "loss.png").read_bytes().replace(b"vidya", b"other")
    (tmp_path / "loss.png").write_bytes(theirs)
    assert "is not a PNG picture that vidya drew" in refusal("a", "b", cwd=tmp_path)
    assert (tmp_path / "loss.png").read_bytes() == theirs
    assert plot("a", "b", "--out", "loss.png", cwd=tmp_path).returncode == 0


def test_without_matplotlib_one_line_says_what_to_install(tmp_path):
    fake_run(tmp_path / "r")
    hide = "import sys; sys.modules['matplotlib'] = None"
    assert "pip install matplotlib" in refusal("r", cwd=tmp_path, code=hide)


def test_matplotlib_is_not_needed_until_something_is_drawn():
    code = "import sys, vidya.plot; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_no_figure_without_a_value(tmp_path):
    with pytest.raises(UserError, match="nothing to draw"):
        draw_curves([read_curves(fake_run(tmp_path / "r", steps=0))])


def test_a_run_that_goes_on_is_drawn(tmp_path):
    """The last line is half written, and no checkpoint or evaluation is there yet."""
    run = fake_run(tmp_path / "run", steps=30, evaluations=False)
    with open(run / "metrics.jsonl", "a") as file:
        file.write('{"step": 31, "tokens": 158')
    curves = read_curves(run)
    assert len(curves.every_step.values) == 30
    done = plot("run", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_speed_of_a_run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with MetricsWriter(folder / "metrics.jsonl") as writer:
        for step in range(1, 101):
            line = {"step": step, "tokens": 500 * step, "time_s": step / 2, "loss": 1.0}
            writer.write({**line, "tokens_per_s": 900.0 if step <= 50 else 1100.0})
            if step % 50 == 0:
                writer.write({**line, "val_loss": 1.0, "val_bpb": 0.5})
    done = plot("run", "--what", "speed", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "run/speed.png\n")
    panel = draw_curves([read_curves(folder, "speed")]).axes[0]
    assert panel.get_ylabel() == "tokens per second"
    smooth = lines_of(panel)[-1]
    assert smooth[0][1] == 900.0 and smooth[-1][1] == 1100.0
    with pytest.raises(UserError, match="nothing to draw yet"):
        draw_curves([read_curves(fake_run(tmp_path / "old"), "speed")])


def test_a_run_of_weeks_is_read_in_little_memory(tmp_path):
    """Five numbers a step are kept, not the objects of their lines."""
    path = tmp_path / "metrics.jsonl"
    line = '{"step": %d, "tokens": %d, "loss": 3.25, "time_s": %d, "tokens_per_s": 900.5}\n'
    with open(path, "w") as file:
        file.writelines(line % (step, 500 * step, step) for step in range(1, 20_001))
    tracemalloc.start()
    run = read_curves(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(run.every_step.values) == 20_000
    assert peak < 4.8e6  # read_metrics takes twice that for the dictionaries alone
