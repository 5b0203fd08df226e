"""vidya.monitor: what it shows of runs, in terminals of any size, and how it is left."""

import datetime
import fcntl
import json
import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
from support.commands import in_terminal, run_command_process
from support.run_logs import run_lines, write

from vidya.measuring.reference_curves import reference_curve
from vidya.reporting.monitor_frame import Glance, frame, glance
from vidya.reporting.monitor_screen import WatchedRuns
from vidya.reporting.run_history import RunHistory
from vidya.storage import checkpoint
from vidya.storage.checkpoint_folder import checkpoint_name
from vidya.storage.run_folder import RunFolder, training_process
from vidya.terminal.progress_display import RunningMean
from vidya.training.run_changes import change_line
from vidya.training.samples import append_samples

BASE = "microgpt_chat_nano_v5"


def make_run(folder: Path, done=300, total=400) -> Path:
    """A run that was stopped after `done` steps."""
    folder.mkdir(parents=True)
    lines = [line for line in run_lines(total) if line.get("step", 0) <= done]
    lines[0]["precision"] = "fp32"
    write(folder / "metrics.jsonl", lines)
    checkpoint.save(folder / checkpoint_name(BASE, done), {"wte": np.ones(1, np.float32)}, {})
    for step in (100, 200):
        append_samples(folder / "samples.txt", step, [f"  'hello' → 'at {step}'"])
    return folder


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "runs" / "nano")


def seen(folder, process=None):
    history = RunHistory(folder / "metrics.jsonl")
    history.update()
    now = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.timezone.utc)
    return history, Glance(folder, now, process, "saved at step 300", 90.0, ["step 200", "  'a'"])


def text(lines):
    return "\n".join(line.plain for line in lines)


# ---------------------------------------------------------------- a frame


def test_the_figures(run):
    history, look = seen(run, process=77)
    shown = text(frame(history, look, 120, 30))
    assert f"{run} running, process 77 · nano · fp32, threads 2" in shown
    # 100 steps of a quarter of a second
    assert "step 300 of 400 (75.0%) · 25s left · done Sun 01 Mar 12:00 ━" in shown
    unseen = "unseen text 1.0033 bits/byte at step 300 · best 1.0033 (lower is better)"
    assert f"{unseen} · its loss 3.0033" in shown
    assert "2,000 tokens/s now · 2,000 average · 150,000 tokens · trained 1m 15s" in shown
    assert "learning rate 1.00e-03 · gradient norm 1.50 · 64 MB of memory · 1 spike" in shown
    assert "saved at step 300 · 1m 30s ago · saves stalled at most 0.0 ms" in shown
    mean = RunningMean()
    for line in history.recent:
        mean.add(line["loss"])
    assert f"loss {mean.value:.4f} · " in shown  # what the training's own bar shows
    assert "loss, training text" in shown and "bits per byte, unseen text" in shown
    assert "replies at step 200\n  'a'" in shown


@pytest.mark.parametrize(("preset", "measured"), [("10m", True), ("100m", False)])
def test_a_run_stands_beside_one_that_was_measured(tmp_path, preset, measured):
    curve = reference_curve("10m", "plan")
    lines = list(run_lines(400))
    lines[0]["options"]["preset"] = preset
    for line in lines:
        line["tokens"] = 2500 * line.get("step", 0)
        if "val_bpb" in line:
            line["val_bpb"] = curve.bits_at(line["tokens"]) + 0.02
    (tmp_path / "run").mkdir()
    write(tmp_path / "run" / "metrics.jsonl", lines)
    shown = frame(*seen(tmp_path / "run"), 160, 30)
    told = f"10m on chitchat had {curve.bits_at(1e6):.3f} then"
    assert (told in text(shown)) == measured
    assert ("bits per byte, unseen text (pale: 10m on chitchat)" in text(shown)) == measured
    pale = {
        letter
        for line in shown
        for span in line.spans
        if span.style == "bright_black"
        for letter in line.plain[span.start : span.end]
    }
    assert any("\u2800" < letter <= "\u28ff" for letter in pale) == measured


def test_what_a_run_was_told_anew(run):
    changed = [{"lr": [1e-3, 5e-4]}, {"steps": [300, 400], "keep": [3, 5]}, {"clip": [1.0, 2.0]}]
    lines = [change_line(60 * n, 9, 1.0, one) for n, one in enumerate([*changed, {"eps": [1, 2]}])]
    write(run / "metrics.jsonl", lines, "a")
    shown = text(frame(*seen(run), 120, 30)).splitlines()
    at = shown.index("changed 1 time before")
    assert shown[at + 1 : at + 3] == [
        "changed at step 60: --steps 300 → 400, --keep 3 → 5",
        "changed at step 120: --clip 1 → 2",
    ]


def test_a_run_that_ended_says_how(run, tmp_path):
    assert "nano stopped" in text(frame(*seen(run), 80, 24))
    shown = text(frame(*seen(make_run(tmp_path / "done", 400)), 80, 24))
    assert "done finished" in shown and "step 400 of 400 (100.0%) ━" in shown
    assert "left" not in shown


def test_a_run_without_a_step(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    write(folder / "metrics.jsonl", list(run_lines(10))[:1])
    assert "no training step yet" in text(frame(*seen(folder, process=0), 80, 24))


@pytest.mark.parametrize("width", [1, 10, 39, 40, 71, 72, 80, 200])
@pytest.mark.parametrize("height", [1, 6, 9, 12, 17, 24, 60])
def test_it_fits(run, width, height):
    lines = frame(*seen(run), width, height)
    assert len(lines) <= height
    assert all(line.cell_len <= width for line in lines)
    if width >= 40 and height >= 17:
        assert "loss, training text" in text(lines)


def test_the_curve_falls(run):
    """Left of the picture the highest value stands at the top, and the ink goes down."""
    lines = [line.plain for line in frame(*seen(run), 60, 40)]
    top = next(i for i, line in enumerate(lines) if "loss, training text" in line) + 1
    bottom = next(i for i, line in enumerate(lines) if line.endswith(" steps"))
    rows = [line[7:] for line in lines[top:bottom]]
    first, last = ({i for i, row in enumerate(rows) if row[at] != "⠀"} for at in (0, -1))
    assert min(first) == 0 and min(last) > max(first)


def test_a_glance_at_the_folder(run):
    history = RunHistory(run / "metrics.jsonl")
    history.update()
    look = glance(run, history)
    assert look.process is None and look.checkpoint == "saved at step 300"
    assert 0 <= look.checkpoint_age < 60 and look.samples == ["step 200", "  'hello' → 'at 200'"]
    with RunFolder(run):
        assert glance(run, history).process == os.getpid()


def test_looking_at_the_lock_keeps_nobody_from_training(run):
    """A glance holds the lock for an instant: a training that starts then waits for it."""
    assert training_process(run) is None and training_process(run / "none") is None
    with RunFolder(run):
        pass
    descriptor = os.open(run / ".lock", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    child = os.fork()
    if not child:
        time.sleep(0.03)
        os._exit(0)
    os.close(descriptor)  # the child holds the lock until it ends
    with RunFolder(run):
        assert training_process(run) == os.getpid()
    os.waitpid(child, 0)


# ---------------------------------------------------------------- which run


def test_the_run_that_is_prepared_comes_first_and_is_left_by_paging(run, tmp_path, monkeypatch):
    for path in make_run(tmp_path / "runs" / "older", done=200).glob("*.bin"):
        path.unlink()  # the same weights would make it the same run
    os.utime(tmp_path / "runs/older/metrics.jsonl", (1, 1))
    monkeypatch.chdir(tmp_path)
    runs = WatchedRuns(None)
    first = runs.shown
    assert first == Path("runs/nano") and runs.keys(80).plain.startswith("q leaves · n, p: ")
    new = tmp_path / "runs" / "new"
    with RunFolder(new) as folder:
        folder.note_preparing("tokenizer")
        runs.look_again()
        assert runs.shown == Path("runs/new")
        shown = text(runs.lines(80, 24))
        assert "runs/new preparing: tokenizer, 0s so far" in shown and "no training step" in shown
        folder.note_preparing("tokens 40 %")
        assert "preparing: tokens 40 %\n" in text(runs.lines(80, 24)) + "\n"
        runs.page(1)
        runs.look_again()
        assert runs.shown == first and "(2 of 3)" in runs.keys(80).plain
        runs.page(-1)
        assert runs.shown == Path("runs/new")
        folder.note_preparing("")
        assert "running, process" in text(runs.lines(80, 24))
        assert training_process(new) == os.getpid()


def test_a_run_that_is_named_is_stayed_at(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = WatchedRuns(Path("runs/nano"))
    with RunFolder(tmp_path / "runs" / "new"):
        runs.look_again()
        assert runs.shown == Path("runs/nano")


@pytest.mark.parametrize("width", [1, 10, 40, 80])
def test_the_keys_fit(run, tmp_path, monkeypatch, width):
    make_run(tmp_path / "runs" / "older", done=200)
    monkeypatch.chdir(tmp_path)
    assert WatchedRuns(None).keys(width).cell_len <= width


# ---------------------------------------------------------------- the command


def monitor(*arguments, cwd, **environment):
    return run_command_process("monitor", *arguments, cwd=cwd, env=environment)


def test_one_frame_of_the_newest_run(run, tmp_path):
    make_run(tmp_path / "runs" / "older", done=200)
    os.utime(tmp_path / "runs/older/metrics.jsonl", (1, 1))
    for path in (tmp_path / "runs/older").glob("*.bin"):
        path.unlink()  # the same weights would make it the same run
    for arguments in ([], ["--once"], ["runs/nano", "--once"]):
        done = monitor(*arguments, cwd=tmp_path, COLUMNS="80")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("runs/nano stopped · nano · fp32, threads 2\n")
        assert "\x1b" not in done.stdout and "'hello' → 'at 200'" in done.stdout
        assert max(map(len, done.stdout.splitlines())) <= 80


def test_metrics_of_another_program(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 3}\n')
    done = monitor(".", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: metrics.jsonl is of another program: name a run folder of vidya\n"
    )


def test_nothing_to_show(tmp_path):
    assert "no run in runs/: start one with" in monitor(cwd=tmp_path).stderr
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").touch()
    for name, says in (
        ("empty", "no metrics in empty/: name a run folder, or start a run with `python -m vidya"),
        ("none", "none is not there: name a run folder (`python -m vidya.list` lists yours)"),
        ("text", "text is no folder: name a run folder"),
    ):
        done = monitor(name, cwd=tmp_path)
        assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
        assert done.stderr.startswith(f"error: {says}")


@pytest.fixture
def terminal(run, tmp_path):
    """The monitor in a terminal of 80 x 24."""
    child = in_terminal(
        "monitor", "runs/nano", rows=24, columns=80, cwd=tmp_path, TERM="xterm-256color"
    )
    yield child
    child.close(force=True)


def test_it_follows_a_run_and_q_leaves(run, terminal):
    terminal.expect(r"300 of 400")
    terminal.expect("q leaves")
    last = {"step": 301, "tokens": 150_500, "time_s": 75.25, "lr": 1e-3, "loss": 2.0}
    last |= {"grad_norm": 1.5, "tokens_per_s": 2000.0, "rss_bytes": 1}
    raw = json.dumps(last) + "\n"
    with RunFolder(run), open(run / "metrics.jsonl", "a") as file:
        file.write(raw[:20])  # torn, for now
        file.flush()
        terminal.expect(f"running, process {os.getpid()}")
        file.write(raw[20:])
        file.flush()
        terminal.expect(r"301 of 400")
    terminal.expect("stopped")
    terminal.setwinsize(30, 40)  # at once, not at the next look
    terminal.expect(r"bits per byte, unseen text")
    terminal.send("q")
    rest = terminal.read()
    terminal.close()
    assert terminal.exitstatus == 0
    assert "\x1b[?1049l" in rest and "Traceback" not in rest  # the screen of before is back


def test_ctrl_c_leaves(terminal):
    terminal.expect(r"300 of 400")
    terminal.sendintr()
    rest = terminal.read()
    terminal.close()
    assert terminal.exitstatus == 0 and not re.search("Traceback|interrupted", rest)
