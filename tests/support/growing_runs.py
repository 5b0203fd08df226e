"""Runs to grow: a trained one, the command's work in this process, and what it says."""

import re
import shutil
from pathlib import Path

import pytest
from support.training_runs import TINY, lines_of, train, write_corpus

from vidya import expand as expand_command

BIG = "microgpt_chat_25m_v5.bin"
BIGGER = {"n_embd": 64, "n_layer": 3, "n_head": 2, "context": 48}


@pytest.fixture(scope="module")
def growing_home(tmp_path_factory):
    """A folder with small.txt and a finished run of 60 steps in `run`."""
    folder = tmp_path_factory.mktemp("home")
    write_corpus(folder)
    train(*TINY, "--lr", 0.01, "--data", "small.txt", "--out", "run", "--steps", 60, cwd=folder)
    return folder


@pytest.fixture
def growing_work(growing_home, tmp_path, monkeypatch):
    """A copy of `growing_home` that a test may change, and works in."""
    shutil.copytree(growing_home, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def expand(path="run", **options):
    """The command's work, its paths as the command line gives them."""
    paths = {name: Path(options[name]) for name in ("out", "val", "tokenizer") if name in options}
    given = {"model": Path(path), **BIGGER, "threads": 1, **options, **paths}
    return expand_command.expand(expand_command.ExpandOptions(**given))


def losses(text):
    """Every loss that the command printed, by its label and window."""
    found = re.findall(
        r"(before|after)  ? *loss ([\d.]+), ([\d.]+) bits.*windows of ([\d,]+)", text
    )
    return {(label, int(window)): (float(loss), float(bpb)) for label, loss, bpb, window in found}


def as_in_fp32(loss, run):
    """A loss that `run` wrote, to compare with those that the command measures, in fp32.

    bf16 keeps eight bits of what is multiplied: the losses of a run in it are 1e-4 off.
    """
    bf16 = lines_of(run)[0]["precision"] == "bf16"
    return pytest.approx(loss, rel=1e-3 if bf16 else 1e-5)
