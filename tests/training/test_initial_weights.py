"""`vidya.train --init`: a fresh run that begins with the weights of a checkpoint."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.training_runs import (
    BASE,
    TINY,
    curve,
    lines_of,
    refused,
    snapshot,
    train,
    training_lines,
    weights,
    write_corpus,
)  # fmt: skip

from vidya.storage import checkpoint
from vidya.storage.checkpoint_format import read_digest, read_meta

pytestmark = pytest.mark.auto_precision

AGAIN = (
    "--tokens-per-step 64 --samples 1 --threads 1 --val-fraction 0.1 --data small.txt --seed 5"
).split()
FINAL = f"{BASE}.bin"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with small.txt and a finished run of 40 steps in `run`."""
    folder = tmp_path_factory.mktemp("home")
    write_corpus(folder)
    train(*TINY, "--lr", 0.01, "--data", "small.txt", "--out", "run", "--steps", 40, cwd=folder)
    return folder


@pytest.fixture
def work(home, tmp_path):
    """A copy of `home` that a test may change."""
    shutil.copytree(home, tmp_path / "work")
    return tmp_path / "work"


def held_out(run):
    return [line["val_loss"] for line in lines_of(run) if "val_loss" in line]


def test_the_run_begins_where_the_checkpoint_is(work):
    train(*AGAIN, "--init", f"run/{FINAL}", "--out", "next", "--steps", 4, cwd=work)
    first = lines_of(work / "next")[0]
    digest = read_digest(work / "run" / FINAL)
    assert first["init"] == {"path": f"run/{FINAL}", "digest": digest}
    assert held_out(work / "next")[0] == held_out(work / "run")[-1]
    assert (work / "next/tokenizer.json").read_bytes() == (work / "run/tokenizer.json").read_bytes()
    # a run of its own: step 0, a fresh optimizer, the learning rate from its beginning
    assert training_lines(work / "next")[0]["step"] == 1
    tensors, meta = checkpoint.load(work / "next" / f"{BASE}_1.bin") if (
        work / "next" / f"{BASE}_1.bin"
    ).exists() else checkpoint.load(work / "next" / f"{BASE}_2.bin")  # fmt: skip
    assert meta["init"]["digest"] == digest
    assert np.abs(tensors["adam_m"]).max() > 0
    assert meta["config"]["n_embd"] == 32 and meta["step"] <= 2


def test_a_run_without_it_says_that_its_weights_were_random(home):
    assert lines_of(home / "run")[0]["init"] is None


def test_a_run_folder_will_do_and_the_source_stays_as_it_is(work):
    before = snapshot(work / "run")
    train(*AGAIN, "--init", "run", "--out", "next", "--steps", 1, cwd=work)
    assert snapshot(work / "run") == before
    assert lines_of(work / "next")[0]["init"]["path"].startswith("run/")


def test_a_resumed_run_is_bit_identical_even_when_the_source_is_gone(work):
    how = [*AGAIN, "--init", "run", "--steps", 8, "--checkpoint-every", 2, "--keep", 9]
    train(*how, "--out", "whole", cwd=work)
    train(*how, "--out", "halved", cwd=work)
    for step in (6, 8):
        (work / "halved" / f"{BASE}_{step}.bin").unlink()
    (work / "halved" / FINAL).unlink()
    shutil.rmtree(work / "run")
    train("--resume", "--out", "halved", cwd=work)
    assert weights(work / "halved") == weights(work / "whole")
    assert curve(work / "halved") == curve(work / "whole")
    assert [line["init"] for line in lines_of(work / "halved") if line.get("kind") == "run"] == [
        lines_of(work / "whole")[0]["init"]
    ] * 2
    one, two = (read_meta(work / run / FINAL)["init"] for run in ("whole", "halved"))
    assert one == two


def test_the_architecture_may_be_repeated(work):
    same = "--preset 10m --n-embd 32 --n-layer 1 --n-head 1 --context 32".split()
    train(*AGAIN, *same, "--init", "run", "--out", "next", "--steps", 1, cwd=work)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--n-embd 64 --n-head 2", "n_embd is 32 there, 64 here; n_head is 1 there, 2 here"),
        ("--context 16", "context is 32 there, 16 here"),
        ("--merges 30", "merges is 20 there, 30 here"),
        ("--no-split-digits", "split_digits is True there, False here"),
        ("--resume", "--resume goes on with a run, --init begins one: give one"),
        ("--init none", "there is no none: name a checkpoint or a run folder"),
        ("--init small.txt", "small.txt is no model: name a run folder or a checkpoint"),
        ("--out run", "lies in the folder of the run to begin: choose another --out"),
        ("--out run --overwrite", "lies in the folder of the run to begin: choose another --out"),
        ("--lr -1", "--lr must be a positive number"),
    ],
)
def test_what_contradicts_the_checkpoint_is_refused(home, options, says):
    before = snapshot(home)
    given = [*AGAIN, "--steps", 1, *options.split()]
    given += [] if "--init" in given else ["--init", "run"]
    given += [] if "--out" in given else ["--out", "next"]
    assert says in refused(*given, cwd=home)
    assert {name: raw for name, raw in snapshot(home).items() if name in before} == before
    shutil.rmtree(home / "next", ignore_errors=True)


def test_damaged_weights_are_refused(work):
    path = work / "run" / FINAL
    tensors, meta = checkpoint.load(path)
    tensors["final_norm"][3] = np.nan
    checkpoint.save(path, tensors, meta)
    how = [*AGAIN, "--init", f"run/{FINAL}", "--out", "next", "--steps", 1]
    assert "final_norm holds NaN" in refused(*how, cwd=work)
    raw = bytearray(path.read_bytes())
    raw[-5] ^= 1
    path.write_bytes(raw)
    assert "is damaged" in refused(*how, cwd=work)


def test_another_tokenizer_beside_it_is_refused(work):
    content = json.loads(Path(work / "run/tokenizer.json").read_text())
    content["model"]["merges"].reverse()
    Path(work / "run/tokenizer.json").write_text(json.dumps(content))
    line = refused(*AGAIN, "--init", "run", "--out", "next", "--steps", 1, cwd=work)
    assert "is not the tokenizer that" in line
