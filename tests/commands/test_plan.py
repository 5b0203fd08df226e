"""The plan of a run: its arithmetic, and that it is what a run then takes."""

import dataclasses
import datetime
import json
import os
import sys

import pytest
from support.commands import run_command_process
from support.training_runs import TINY, lines_of, train, write_corpus

from vidya import plan
from vidya.model.presets import checkpoint_base
from vidya.training.options import TrainOptions

pytestmark = pytest.mark.either_precision

# Files in the current folder, which the processes that try a run out must not import.
SHADOWING = ["random.py", "socket.py", "tempfile.py"] if sys.version_info >= (3, 11) else []
SMALL = [*TINY, "--data", "small.txt"]


def command(*arguments, cwd, status=0):
    done = run_command_process("plan", *arguments, cwd=cwd, timeout=120)
    assert done.returncode == status, done.stderr + done.stdout
    return done


# ---------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """The plan of a small run as JSON, and the folder that it was made in."""
    home = tmp_path_factory.mktemp("plan")
    write_corpus(home, 400)
    for name in SHADOWING:
        (home / name).write_text("raise SystemExit('of the current folder')")
    given = [*SMALL, "--steps", 300, "--eval-every", 100, "--measure-seconds", 1, "--out", "run"]
    done = command(*given, "--compare", "nano", "--json", cwd=home)
    return home, given, json.loads(done.stdout), done


def test_nothing_is_left_behind(planned):
    home, _, _, done = planned
    assert sorted(os.listdir(home)) == sorted(["small.txt", *SHADOWING])
    assert "Traceback" not in done.stderr
    assert "which is deleted at the end" in done.stderr


def test_the_plan_is_of_the_run_that_was_described(planned):
    home, given, (own, other), _ = planned
    train(*given[: given.index("--measure-seconds")], "--out", "run", cwd=home)
    first = lines_of(home / "run")[0]
    assert own["trial"]["config"] == first["config"]
    assert own["options"]["steps"] == 300 and other["options"]["preset"] == "nano"
    assert other["trial"]["config"]["n_embd"] == 128
    saved = home / "run" / f"{checkpoint_base('10m')}_300.bin"
    assert own["trial"]["checkpoint_bytes"] == pytest.approx(saved.stat().st_size, rel=0.05)
    steps = [line for line in lines_of(home / "run") if "loss" in line]
    last = steps[-1]
    schedule = own["schedules"][-1]
    assert schedule["steps"] == 300 and schedule["name"].startswith("--steps 300")
    assert schedule["tokens"] == pytest.approx(last["tokens"], rel=0.02)
    there = sum(path.stat().st_size for path in (home / "run").iterdir() if path.is_file())
    assert there * 0.5 < schedule["disk_bytes"]
    # the same machine, though perhaps busier: a factor, not a per cent, is for tests
    took = sum(own["trial"]["batched"]["tokens"] / line["tokens_per_s"] for line in steps)
    assert 1 / 5 < schedule["steps"] * own["trial"]["batched"]["seconds"] / took < 5


def test_memory_measured_is_near_what_was_estimated(planned):
    for run in planned[2]:
        taken, estimated = run["trial"]["memory"], run["memory_estimated"]
        assert 0.8 * estimated < taken["step"] <= taken["run"] < 1.25 * estimated


def test_the_same_tokens_in_batches(planned):
    for run in planned[2]:
        alone, batched = run["schedules"][:2]
        assert (alone["steps"], alone["name"]) == (400_000, "400,000 steps of one document")
        assert batched["tokens"] == pytest.approx(alone["tokens"], rel=1e-3)
        assert batched["steps"] < alone["steps"]
        two = run["schedules"][4]
        assert two["tokens"] == pytest.approx(2 * run["trial"]["epoch_tokens"], rel=0.01)


def test_the_report(planned):
    home, given, (own, _), _ = planned
    done = command(*given, "--compare-road", cwd=home)
    lines = done.stdout.splitlines()
    total = sum(own["parameters"][part] for part in own["parameters"] if part != "total")
    assert own["parameters"]["total"] == total
    row = next(line for line in lines if line.startswith("total"))
    assert row.split()[:2] == ["total", f"{total:,}"] and row.endswith("~10 M")
    begun = next(line for line in lines if "begun now  " in line)
    assert begun.split()[-3:] == ["takes", "finished", "disk"]
    date = next(line for line in lines if line.startswith("600,000 steps of one")).split()[-4:-2]
    assert datetime.datetime.fromisoformat(" ".join(date)) > datetime.datetime.now()


@pytest.mark.parametrize(
    ("bad", "says"),
    [(("--compare", "26m"), "--compare cannot be '26m': did you mean 25m?"),
     (("--measure-seconds", "0"), "must be above"),
     (("--resume",), "--resume"), (("--data", "absent.txt"), "absent.txt")],
)  # fmt: skip
def test_bad_options(tmp_path, bad, says):
    done = command(*bad, cwd=tmp_path, status=2)
    assert done.stdout == "" and len(done.stderr.splitlines()) == 1 and says in done.stderr
    assert os.listdir(tmp_path) == []


def test_the_compared_run_has_dimensions_of_its_own():
    own, other = plan.PlanOptions(preset="25m", n_embd=64, merges=5, compare="10m").runs()
    assert (own.n_embd, own.merges) == (64, 5) and type(own) is TrainOptions
    assert other == dataclasses.replace(own, preset="10m", n_embd=None, merges=None)
