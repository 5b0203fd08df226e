"""What is known of a run while it grows: the same as if all of it had been read at once."""

import itertools
import math
import os
import random

import pytest
from support.run_logs import run_lines, write

from vidya.reporting import run_history
from vidya.reporting.run_history import HeldOutPoint, RunHistory


def known(history):
    return (
        history.description, history.last, list(history.recent), history.evaluations,
        history.spikes, history.longest_stall_ms, history.training_curve(),
    )  # fmt: skip


def read(path):
    history = RunHistory(path)
    history.update()
    return history


def test_a_run_that_has_not_begun(tmp_path):
    history = RunHistory(tmp_path / "metrics.jsonl")
    assert not history.update()
    assert known(history) == ({}, {}, [], [], 0, None, ([], []))


def test_the_figures_of_a_run(tmp_path):
    path = tmp_path / "m"
    lines = list(run_lines(1200))
    write(path, lines)
    history = read(path)
    training = [line for line in lines if "loss" in line]
    assert history.description == lines[0]
    assert history.last == training[-1]
    assert list(history.recent) == training[-run_history.RECENT :]
    assert [one.step for one in history.evaluations] == list(range(50, 1201, 50))
    assert history.evaluations[0] == HeldOutPoint(50, 3 + 1 / 50, 1 + 1 / 50, 25_000)
    assert history.spikes == 2 and history.longest_stall_ms == 0.01011
    steps, losses = history.training_curve()
    assert steps == [step + 0.5 for step in range(1, 1201)]
    assert losses == [line["loss"] for line in training]


def test_read_piece_by_piece_it_is_the_same(tmp_path):
    """Whatever the pieces: lines are torn wherever the writer happened to be."""
    write(tmp_path / "whole", run_lines(3000))
    raw = (tmp_path / "whole").read_bytes()
    path, draw, at = tmp_path / "growing", random.Random(0), 0
    path.touch()
    history = RunHistory(path)
    while at < len(raw):
        size = draw.choice([1, 50, 5000, 50_000])
        with open(path, "ab") as file:
            file.write(raw[at : at + size])
        at += size
        assert history.update()
    assert not history.update()
    assert known(history) == known(read(tmp_path / "whole"))


def test_a_run_that_resumes_is_read_anew(tmp_path):
    path = tmp_path / "m"
    write(path, run_lines(300))
    history = read(path)
    write(tmp_path / "new", run_lines(200))
    os.replace(tmp_path / "new", path)  # as truncate_after does
    history.update()
    assert known(history) == known(read(path)) and history.last["step"] == 200
    write(path, run_lines(100))  # cut in place: the same file, but shorter
    history.update()
    assert known(history) == known(read(path)) and history.last["step"] == 100


@pytest.mark.parametrize("damage", [b"\0\0\0", b"[1]", b'{"step": 1', b"\xff", b'{"step": "x"}'])
def test_damaged_lines_and_numbers_that_are_none_are_passed_over(tmp_path, damage):
    path = tmp_path / "m"
    write(path, [*run_lines(3), {"step": 4, "loss": "NaN"}])
    with open(path, "ab") as file:
        file.write(damage + b"\n")
    write(path, run_lines(6, first=5), "a")
    history = read(path)
    assert [line["step"] for line in history.recent] == [1, 2, 3, 5, 6]


def test_a_long_run_is_skimmed_and_nothing_rare_is_missed(tmp_path):
    """Curve within the noise of the samples; evaluations, spikes, last lines exactly."""
    path, count = tmp_path / "m", 60_000
    write(path, run_lines(count))
    assert path.stat().st_size > run_history._READ_WHOLE
    history = read(path)
    assert history.last["step"] == count
    assert next(line["step"] for line in history.recent) == count - run_history.RECENT + 1
    assert [one.step for one in history.evaluations] == list(range(50, count + 1, 50))
    assert history.spikes == count // 1000
    assert history.longest_stall_ms == pytest.approx(0.59011)
    assert history.description["options"]["steps"] == count
    steps, losses = history.training_curve()
    assert 1000 < len(steps) <= run_history._MOST_POINTS
    assert max(b - a for a, b in itertools.pairwise(steps)) < count / 500
    for step, loss in zip(steps[5:], losses[5:], strict=True):
        assert loss == pytest.approx(2 + 4 * math.exp(-step / count * 9), abs=0.25)
    write(path, run_lines(count + 100, first=count + 1), "a")
    history.update()
    assert history.last["step"] == count + 100
