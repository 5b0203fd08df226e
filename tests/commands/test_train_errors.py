"""What a user can do wrong with a training: one line, status 2, and nothing on disk is lost."""

import contextlib
import os
import re
import shutil
import subprocess

import numpy as np
import pytest
from support.commands import TIMEOUT
from support.training_runs import (
    BASE,
    TINY,
    checkpoints,
    conversations,
    curve,
    is_root,
    refused,
    running,
    snapshot,
    train,
    training_lines,
    wait_for_step,
    weights,
    write_corpus,
)  # fmt: skip

from vidya.storage import checkpoint
from vidya.text.held_out_split import is_held_out

pytestmark = pytest.mark.either_precision


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with small.txt and a finished run of six steps in `run`, as left by it."""
    folder = tmp_path_factory.mktemp("home")
    write_corpus(folder)
    train(*TINY, "--data", "small.txt", "--out", "run", "--steps", 6, cwd=folder)
    assert checkpoints(folder / "run") == {f"{BASE}{x}.bin" for x in ("", "_4", "_5", "_6")}
    return folder


@pytest.fixture
def work(home, tmp_path):
    """A copy of `home` that a test may change."""
    shutil.copytree(home, tmp_path / "work")
    return tmp_path / "work"


# ---------------------------------------------------------------- the command line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--preset huge", "--preset cannot be 'huge': choose nano, starter, 10m, 25m or 100m"),
        ("--n-embd 33 --n-head 2", "n_embd 33 is not divisible by n_head 2"),
        ("--n-embd 34 --n-head 2", "must be even"),
        ("--context 0", "context must be at least 1, not 0"),
        ("--steps 0", "--steps must be at least 1, not 0"),
        ("--steps -5", "--steps must be at least 1, not -5"),
        ("--lr nan", "--lr must be a positive number, not nan"),
        ("--dropout 1", "dropout must be in [0, 1), not 1.0"),
        ("--minutes -1", "--minutes must be a positive number, not -1.0"),
        ("--seed -1", "--seed must be in [0, 2**64), not -1"),
        ("--threads 0", "--threads must be auto or between 1 and 256, not 0"),
        ("--merges 70000", "merges must be between 0 and 65276, not 70000"),
        ("--tokens-per-step 0", "--tokens-per-step must be at least 1, not 0"),
        ("--data small.txt --data other.txt", "--data is given 2 times: give it once, with all"),
        ("--resume", "--resume goes on with a run, --overwrite replaces it: give one"),
        ("--wings 2", "--wings"),
        ("--seeds 4", "there is no option --seeds: did you mean --seed?"),
        ("--steps many", "'many' is no whole number"),
        ("--steps 1.5", "'1.5' is no whole number"),
        ("--steps", "--steps"),
        ("stray", "stray"),
    ],
)
def test_a_wrong_option_changes_nothing(home, arguments, says):
    given = [*TINY, "--out", "run", "--overwrite", *arguments.split()]
    if "--data" not in given:
        given = ["--data", "small.txt", *given]
    before = snapshot(home)
    assert says in refused(*given, cwd=home)
    assert snapshot(home) == before


def test_a_huge_model_is_refused_without_a_traceback(tmp_path):
    write_corpus(tmp_path)
    huge = ["--n-embd", 2_000_000, "--n-head", 20_000]
    line = refused(*TINY, *huge, "--data", "small.txt", "--out", "run", "--steps", 1, cwd=tmp_path)
    assert "memory" in line and "--n-embd" in line


# ---------------------------------------------------------------- the corpus


def held_out_document():
    """A document that a split at a tenth holds out."""
    return next(text for text in conversations(500) if is_held_out(text, 0.1))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "holds no document: put text into it"),
        (b"\n\r\n  \t\n\n", "holds no document: put text into it"),
        (b"good line\nbad \xe9 line\n", "line 2: byte 0xe9 is not UTF-8"),
        (b"good line\n" * 50000 + b"bad \xff", "line 50001: byte 0xff is not UTF-8"),
        (
            held_out_document().encode(),
            "every document of bad.txt is held out: lower --val-fraction, give --val FILE, "
            "or hold out nothing with --val-fraction 0",
        ),
        (None, "cannot read bad.txt: there is no such file: "),
        ("folder", "bad.txt is a folder: name a text file in it"),
    ],
    ids="empty blank latin1 late-latin1 only-held-out missing folder".split(),
)
def test_a_bad_corpus_changes_nothing(work, content, says):
    bad = work / "bad.txt"
    if content == "folder":
        bad.mkdir()
    elif content is not None:
        bad.write_bytes(content)
    before = snapshot(work / "run")
    given = [*TINY, "--data", "bad.txt", "--steps", 6]
    assert says in refused(*given, "--out", "run", "--overwrite", cwd=work)
    assert snapshot(work / "run") == before
    assert says in refused(*given, "--out", "fresh", cwd=work)
    assert snapshot(work / "fresh") == {}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\n\n", "val.txt holds no document to evaluate on: put some text into it"),
        (b"\xff", "val.txt, line 1: byte 0xff is not UTF-8"),
        (None, "cannot read val.txt: there is no such file"),
    ],
    ids="blank latin1 missing".split(),
)
def test_a_bad_held_out_file_changes_nothing(work, content, says):
    if content is not None:
        (work / "val.txt").write_bytes(content)
    before = snapshot(work / "run")
    given = [*TINY, "--data", "small.txt", "--val", "val.txt", "--steps", 6]
    assert says in refused(*given, "--out", "run", "--overwrite", cwd=work)
    assert snapshot(work / "run") == before


@pytest.mark.parametrize("document", [held_out_document(), "a", "<|user|>"])
def test_one_document_trains_when_nothing_is_held_out(tmp_path, document):
    (tmp_path / "one.txt").write_text(document)
    given = [*TINY, "--data", "one.txt", "--val-fraction", 0, "--out", "run", "--steps", 3]
    train(*given, cwd=tmp_path)
    lines = training_lines(tmp_path / "run")
    assert [line["step"] for line in lines] == [1, 2, 3]
    if document == "a":  # bos a bos
        assert [line["tokens"] for line in lines] == [2, 4, 6]
    assert lines[2]["loss"] < lines[0]["loss"]


# ---------------------------------------------------------------- the output folder


def test_output_below_a_file(work):
    before = snapshot(work)
    line = refused(*TINY, "--data", "small.txt", "--out", "small.txt/run", cwd=work)
    assert "small.txt/run is not a folder: use another --out" in line
    line = refused(*TINY, "--data", "small.txt", "--out", "small.txt", cwd=work)
    assert "small.txt is not a folder: use another --out" in line
    assert snapshot(work) == before


def test_output_where_no_folder_can_be_made(work):
    line = refused(*TINY, "--data", "small.txt", "--out", "/proc/self/run", cwd=work)
    assert "cannot create folder /proc/self/run" in line and "use another --out" in line


def test_output_without_permission(work):
    (work / "run").chmod(0o555)
    try:
        if os.access(work / "run", os.W_OK):
            pytest.skip("root may write anywhere")
        line = refused(*TINY, "--data", "small.txt", "--out", "run", "--overwrite", cwd=work)
    finally:
        (work / "run").chmod(0o755)
    assert "cannot write to folder run: use another --out" in line


@pytest.fixture
def tmpfs(tmp_path):
    """Mounts tmpfs with the options it is called with; the mount point."""
    point = tmp_path / "disk"
    point.mkdir()

    def mount(options):
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(point)], capture_output=True
        )
        if made.returncode:
            pytest.skip("needs the right to mount a tmpfs")
        return point

    if not is_root() or shutil.which("mount") is None:
        pytest.skip("needs the right to mount a tmpfs")
    yield mount
    subprocess.run(["umount", str(point)], capture_output=True)


def test_output_on_a_read_only_disk(work, tmpfs):
    disk = tmpfs("size=4m")
    shutil.copytree(work / "run", disk / "run")
    tmpfs("remount,ro")
    before = snapshot(disk)
    for out, says in (("run", "cannot write to folder"), ("fresh", "cannot create folder")):
        given = [*TINY, "--data", "small.txt", "--out", disk / out, "--overwrite", "--steps", 6]
        line = refused(*given, cwd=work)
        assert says in line and "use another --out" in line
    assert snapshot(disk) == before


def test_disk_full(work, tmpfs):
    """It fills up while training goes on: what was saved stays, and the run goes on from it."""
    disk = tmpfs("size=4m")
    given = [*TINY, "--data", "small.txt", "--steps", 600, "--checkpoint-every", 20]
    with running(*given, "--out", disk / "run", cwd=work) as process:
        wait_for_step(process, disk / "run", 120)
        filler = open(disk / "filler", "wb", buffering=0)
        with filler, contextlib.suppress(OSError):
            while True:
                filler.write(b"x" * 4096)
        stderr = process.communicate(timeout=TIMEOUT)[1]
    assert process.returncode == 2 and "Traceback" not in stderr
    line = stderr.splitlines()[-1]
    # whichever comes first: a line of metrics, or a checkpoint
    assert re.search(
        r"error: (disk full .* writing|cannot write) .*(_\d+\.bin|metrics\.jsonl): ", line
    )
    assert "free some space or use another --out" in line
    saved = sorted(checkpoints(disk / "run"))
    assert 1 <= len(saved) <= 5  # the newest three, and those of 200 and 400
    for name in saved:
        checkpoint.load(disk / "run" / name)  # whole
    (disk / "filler").unlink()
    train("--resume", "--out", disk / "run", cwd=work)
    train(*given, "--out", "straight", cwd=work)
    assert curve(disk / "run") == curve(work / "straight")
    assert weights(disk / "run") == weights(work / "straight")


def test_a_disk_that_the_checkpoints_will_not_fit_on(work, tmpfs):
    disk = tmpfs("size=720k")
    given = [*TINY, "--data", "small.txt", "--out", disk / "run", "--steps", 6]
    line = refused(*given, cwd=work)
    assert re.search(r"the run's checkpoints need \d MB in .*/run, where \d MB are free: ", line)
    assert "a smaller --keep (now 3) or a larger --checkpoint-every (now 1)" in line
    assert checkpoints(disk / "run") == set()
    train(*given, "--checkpoint-every", 6, cwd=work)
    assert curve(disk / "run") == curve(work / "run")


@pytest.mark.parametrize(
    ("limit", "fill", "says"),
    [
        (200_000, None, f"writing run/{BASE}_7.bin: raise it or use another --out"),
        (300_000, "metrics.jsonl", "cannot write run/metrics.jsonl: File too large: free some"),
        (300_000, "samples.txt", "cannot write run/samples.txt: File too large: free some space"),
    ],
)
def test_a_file_that_cannot_grow(work, limit, fill, says):
    """The same without the right to mount: also where only a small file has no room."""
    run = work / "run"
    shutil.copytree(run, work / "straight")
    train("--resume", "--out", "straight", "--steps", 12, cwd=work)
    if fill == "metrics.jsonl":
        with open(run / fill, "ab") as file:
            file.write(b'{"note": "' + b"x" * (limit - file.tell() - 30) + b'"}\n')
    elif fill == "samples.txt":
        with open(run / fill, "ab") as file:
            file.write(b"step 0\n  " + b"x" * (limit - file.tell() - 12) + b"\n\n")
    before = snapshot(run)
    more = ["--resume", "--out", "run", "--steps", 12]
    assert says in refused(*more, cwd=work, file_limit=limit)
    after = snapshot(run)
    # Accepted, it may note what it read; whether it does depends on how old the corpus is.
    assert after.keys() - {"corpora.json"} == before.keys() - {"corpora.json"}
    for name in before.keys() - {"corpora.json"}:
        grows = name in ("metrics.jsonl", "samples.txt")
        assert after[name].startswith(before[name]) if grows else after[name] == before[name]
    train(*more, cwd=work)
    assert curve(run) == curve(work / "straight")
    assert weights(run) == weights(work / "straight")


def test_a_fresh_run_that_has_no_room_at_all(work):
    given = [*TINY, "--data", "small.txt", "--out", "fresh", "--steps", 6]
    line = refused(*given, cwd=work, file_limit=2000)
    assert "writing fresh/tokenizer.json: raise it or use another --out" in line
    train(*given, cwd=work)
    assert curve(work / "fresh") == curve(work / "run")


# ---------------------------------------------------------------- an occupied folder


def test_a_folder_that_holds_a_run(home):
    before = snapshot(home)
    line = refused(*TINY, "--data", "small.txt", "--out", "run", "--steps", 6, cwd=home)
    assert f"run already holds a run ({BASE}_6.bin): go on with it with --resume" in line
    assert "choose another --out, or replace it with --overwrite" in line
    line = refused(*TINY, "--preset", "nano", "--data", "small.txt", "--out", "run", cwd=home)
    assert "run already holds a run" in line
    assert snapshot(home) == before


def test_overwrite_replaces_the_run(work):
    shutil.copy(work / "run" / f"{BASE}.bin", work / "run" / f"{BASE}_train.bin")
    (work / "run" / "tensorboard").mkdir()
    (work / "run" / "tensorboard" / "events.out.tfevents.1").write_bytes(b"train/grad_norm")
    of_the_run_before = {
        "finetune.jsonl": '{"kind": "finetune"}', "rl.jsonl": '{"kind": "rl"}',
        "teach_question.json": '{"taught": 0}', "teach.1.jsonl": '{"journal": 2}',
    }  # fmt: skip
    for name, begins in of_the_run_before.items():
        (work / "run" / name).write_text(begins)
    (work / "run" / "notes.md").write_text("mine")
    given = [*TINY, "--data", "small.txt", "--steps", 4, "--seed", 7]
    train(*given, "--out", "run", "--overwrite", cwd=work)
    train(*given, "--out", "fresh", cwd=work)
    assert checkpoints(work / "run") == {f"{BASE}{x}.bin" for x in ("", "_2", "_3", "_4")}
    assert curve(work / "run") == curve(work / "fresh")
    assert (work / "run/samples.txt").read_text() == (work / "fresh/samples.txt").read_text()
    assert (work / "run/notes.md").read_text() == "mine"
    assert list((work / "run/tensorboard").iterdir()) == []
    assert not [name for name in of_the_run_before if (work / "run" / name).exists()]


@pytest.mark.parametrize("how", [["--overwrite"], ["--resume"], []])
def test_somebody_elses_file_in_the_run_folder(work, how):
    (work / "run" / "finetune.jsonl").write_text('{"prompt": "mine"}\n')
    before = snapshot(work)
    line = refused(*TINY, "--data", "small.txt", "--out", "run", *how, cwd=work)
    assert "run/finetune.jsonl is no file of vidya and would be replaced: move it away or" in line
    assert snapshot(work) == before


def test_lessons_are_not_lost_with_the_model_they_taught(work):
    for path in (work / "run").glob("*.bin"):
        path.unlink()
    (work / "run" / "teach.jsonl").write_text('{"journal": 2}\n')
    line = refused(*TINY, "--data", "small.txt", "--out", "run", cwd=work)
    assert "run already holds a run (teach.jsonl)" in line
    assert (work / "run" / "teach.jsonl").exists()


def test_two_trainings_in_one_folder(work):
    given = [*TINY, "--data", "small.txt", "--out", "busy", "--steps", 100_000]
    with running(*given, "--checkpoint-every", 1000, "--eval-every", 1000, cwd=work) as first:
        wait_for_step(first, work / "busy", 1)
        for second in ([*given, "--overwrite"], ["--resume", "--out", "busy"]):
            line = refused(*second, cwd=work)
            assert f"busy is in use by another training (process {first.pid})" in line
            assert "stop that one first, or use another --out" in line
        assert first.poll() is None
        first.kill()
        first.wait()
    steps = [line["step"] for line in training_lines(work / "busy")]
    assert steps == list(range(1, len(steps) + 1))


# ---------------------------------------------------------------- resuming what cannot be


def test_resume_with_nothing_there(tmp_path):
    assert "there is no folder run to resume" in refused("--resume", "--out", "run", cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "runs" / "nano").mkdir(parents=True)
    line = refused("--resume", cwd=tmp_path)
    assert (
        "no folder runs/10m to resume: name one with --out, of which there are: runs/nano" in line
    )
    (tmp_path / "run").mkdir()
    line = refused("--resume", "--out", "run", cwd=tmp_path)
    assert "no training checkpoint of microgpt_chat_10m_v5 in run: start without --resume" in line


def test_resume_a_finished_run(home):
    before = snapshot(home)
    for more in ([], ["--steps", 6], ["--steps", 3]):
        line = refused("--resume", "--out", "run", *more, cwd=home)
        assert "the run in run is finished (step 6): give it more with --steps 12" in line
    assert snapshot(home) == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--n-embd 64", "64: it is the model's size: make a bigger model with python -m vidya.exp"),
        ("--merges 9", "--merges is 20 in the run to resume and cannot become 9: the model has le"),
        ("--tokenizer run/tokenizer.meta.json", "is no tokenizer of vidya or is damaged"),
        ("--seed 3", "--seed is 0 in the run to resume and cannot become 3"),
        # what it would be by default, but is not in this run
        ("--val-fraction 0.02", "--val-fraction is 0.1 in the run to resume and cannot become"),
        ("--tokens-per-step 0", "--tokens-per-step must be at least 1, not 0"),
        ("--preset 25m", "no training checkpoint of microgpt_chat_25m_v5 in run"),
        ("--data other.txt", "was trained on another corpus than the one given: give the same"),
        ("--threads 0", "--threads must be auto or between 1 and 256, not 0"),
    ],
)
def test_resume_as_another_run(home, arguments, says):
    write_corpus(home, 30, "other.txt")  # a corpus, but not the run's
    before = snapshot(home)
    given = ["--resume", "--out", "run", "--steps", 12, *arguments.split()]
    assert says in refused(*given, cwd=home)
    assert snapshot(home) == before


def test_tokenizer_of_another_vocabulary(work):
    train(*TINY, "--merges", 30, "--data", "small.txt", "--out", "b", "--steps", 1, cwd=work)
    shutil.copy(work / "b/tokenizer.json", work / "run/tokenizer.json")
    before = snapshot(work)
    line = refused("--resume", "--out", "run", "--steps", 12, cwd=work)
    assert "run/tokenizer.json is not the tokenizer that the checkpoint was trained with" in line
    assert re.search(r"its hash is \w{12}, not \w{12}: put that one back, or start another", line)
    assert snapshot(work) == before


def test_checkpoint_of_another_shape(work):
    wide = ["--n-embd", 64, "--n-layer", 2]
    train(*TINY, *wide, "--data", "small.txt", "--out", "b", "--steps", 1, cwd=work)
    shutil.copy(work / f"b/{BASE}_1.bin", work / f"run/{BASE}_10.bin")
    before = snapshot(work)
    line = refused("--resume", "--out", "run", "--steps", 12, cwd=work)
    assert f"run/{BASE}_10.bin: n_embd is 64 there, 32 here; n_layer is 2 there, 1 here" in line
    assert (
        "use the settings and the tokenizer that it was trained with, or use another --out" in line
    )
    assert snapshot(work) == before
    (work / "run/metrics.jsonl").unlink()  # nothing then says what the run was
    line = refused("--resume", "--out", "run", "--n-embd", 32, "--steps", 12, cwd=work)
    assert "--n-embd is 64 in the run to resume and cannot become 32" in line


def changed_checkpoint(run, change):
    """Save the checkpoint of step 6 anew, whole, but as `change` makes its tensors."""
    path = run / f"{BASE}_6.bin"
    tensors, meta = checkpoint.load(path)
    change(tensors)
    checkpoint.save(path, tensors, meta)
    return path


def test_checkpoint_whose_tensors_are_not_as_it_says(work):
    def broadcastable(tensors):
        tensors["layers.0.attn_out"] = tensors["layers.0.attn_out"][:1].copy()

    changed_checkpoint(work / "run", broadcastable)
    before = snapshot(work)
    line = refused("--resume", "--out", "run", "--steps", 12, cwd=work)
    assert "layers.0.attn_out should be (32, 32) by its own description but is (1, 32)" in line
    changed_checkpoint(work / "run", lambda tensors: tensors.pop("layers.0.attn_out"))
    assert "but is absent" in refused("--resume", "--out", "run", "--steps", 12, cwd=work)
    assert snapshot(work).keys() == before.keys()


def test_final_weights_under_the_name_of_a_training_checkpoint(work):
    shutil.copy(work / f"run/{BASE}.bin", work / f"run/{BASE}_7.bin")
    before = snapshot(work)
    line = refused("--resume", "--out", "run", "--steps", 12, cwd=work)
    assert f"run/{BASE}_7.bin is no training checkpoint: move it away" in line
    assert snapshot(work) == before


def test_no_checkpoint_is_whole(work):
    for step in (4, 5, 6):
        path = work / f"run/{BASE}_{step}.bin"
        path.write_bytes(path.read_bytes()[:-7])
    before = snapshot(work)
    line = refused("--resume", "--out", "run", "--steps", 12, cwd=work)
    assert "none of the 3 training checkpoints" in line and "start without --resume" in line
    assert snapshot(work) == before


# ---------------------------------------------------------------- numbers that are none


@pytest.mark.auto_precision
def test_a_learning_rate_that_destroys_the_weights(tmp_path):
    write_corpus(tmp_path)
    given = [*TINY, "--data", "small.txt", "--out", "run", "--steps", 6, "--lr", "1e30"]
    line = refused(*given, cwd=tmp_path)
    assert re.search(r"error: stopped at step 2: the (loss|gradient norm) is (nan|inf); ", line)
    assert "had been written yet; start again with --overwrite and a lower --lr" in line
    # the weights after step 1 are finite, but no step can be made with them
    assert checkpoints(tmp_path / "run") == set()


def test_a_loss_that_becomes_nan_keeps_the_last_good_checkpoint(work):
    def explode(tensors):
        tensors["wte"] *= np.float32(1e30)

    changed_checkpoint(work / "run", explode)
    before = snapshot(work)
    line = refused("--resume", "--out", "run", "--steps", 12, cwd=work)
    assert line.startswith("error: stopped at step 7: the ") and f"run/{BASE}_6.bin" in line
    after = snapshot(work)
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed - {"run/corpora.json"} == {"run/metrics.jsonl"}
    assert [line["step"] for line in training_lines(work / "run")] == [1, 2, 3, 4, 5, 6]


def test_a_checkpoint_with_nan_in_it(work):
    def poison(tensors):
        tensors["adam_v"][17] = np.nan

    path = changed_checkpoint(work / "run", poison)
    before = snapshot(work)
    line = refused("--resume", "--out", "run", "--steps", 12, cwd=work)
    assert f"run/{BASE}_6.bin: adam_v holds NaN or infinity: move that checkpoint away" in line
    assert snapshot(work) == before
    path.unlink()
    train("--resume", "--out", "run", "--steps", 8, cwd=work)
    assert [line["step"] for line in training_lines(work / "run")] == list(range(1, 9))
