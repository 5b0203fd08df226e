"""Run folders: one training at a time, and finding the model that somebody means."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vidya.errors import UserError
from vidya.storage import checkpoint, checkpoint_folder
from vidya.storage.find_model import newest_run, resolve_model
from vidya.storage.run_folder import RunFolder

BASE = "microgpt_chat_10m_v5"


def model(folder: Path, name: str, step: int, time: int) -> Path:
    """A checkpoint last written `time` seconds after 2001, in a run that has a tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").touch()
    checkpoint.save(folder / name, {"wte": np.ones(2, np.float32)}, {"step": step})
    return touch(folder / name, time)


def touch(path: Path, time: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (10**9 + time, 10**9 + time))
    return path


# --- the folder --------------------------------------------------------------------


def test_makes_the_folder(tmp_path):
    run = RunFolder(tmp_path / "a" / "b")
    assert run.path.is_dir()
    assert RunFolder(str(run.path)).path == run.path


@pytest.mark.parametrize("path", ["file", "file/run"])
def test_a_file_is_no_folder(tmp_path, path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is not a folder: name another"):
        RunFolder(tmp_path / path)


def test_a_folder_that_cannot_be_made():
    with pytest.raises(
        UserError, match=r"cannot create folder /proc/vidya.*: check the permissions"
    ):
        RunFolder("/proc/vidya")


READ_ONLY = """
import os, sys
from vidya.errors import UserError
from vidya.storage.run_folder import RunFolder
if os.getuid() == 0:
    os.setuid(65534)  # root may write anywhere
for path in sys.argv[1:]:
    try:
        RunFolder(path)
    except UserError as error:
        print(error)
"""


def test_an_unwritable_folder(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    for parent in [tmp_path, *tmp_path.parents[:3]]:
        parent.chmod(0o755)  # pytest's folders are for their owner alone
    command = [sys.executable, "-c", READ_ONLY, folder, folder / "run"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert out.splitlines() == [
        f"cannot write to folder {folder}: change its permissions",
        f"cannot create folder {folder}/run: Permission denied: check the permissions above it",
    ]


# --- the lock ----------------------------------------------------------------------

HOLD = """
import os, sys, time
from vidya.storage.run_folder import RunFolder
with RunFolder(sys.argv[1]):
    if sys.argv[2] == "fork" and os.fork() == 0:
        os.write(1, b"%d\\n" % os.getpid())  # whole lines: two processes write here
        time.sleep(60)
        os._exit(0)
    os.write(1, b"locked\\n")
    sys.stdin.read()
"""


def hold(folder: Path, how: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, folder, how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("ending", ["kill", "return"])
def test_a_second_training_is_turned_away_until_the_first_ends(tmp_path, ending):
    with hold(tmp_path, "plain") as first:
        try:
            assert first.stdout.readline() == "locked\n"
            with pytest.raises(UserError) as caught, RunFolder(tmp_path):
                pytest.fail("two at once")
            message = str(caught.value)
            assert f"process {first.pid}" in message and str(tmp_path) in message
            assert "stop that one first" in message and "\n" not in message
            # Looking does not harm the lock.
            with pytest.raises(UserError), RunFolder(tmp_path):
                pytest.fail("two at once")
            if ending == "kill":
                first.send_signal(signal.SIGKILL)
            first.stdin.close()
            first.wait(timeout=10)
            with RunFolder(tmp_path):
                assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"
        finally:
            first.kill()


def test_a_worker_that_outlives_a_killed_training_does_not_hold_the_lock(tmp_path):
    with hold(tmp_path, "fork") as first:
        said = {first.stdout.readline().strip(), first.stdout.readline().strip()}
        (worker,) = map(int, said - {"locked"})
        try:
            first.send_signal(signal.SIGKILL)
            first.wait(timeout=10)
            os.kill(worker, 0)  # still there
            with RunFolder(tmp_path):
                pass
        finally:
            os.kill(worker, signal.SIGKILL)


def test_the_lock_can_be_taken_again_after_release(tmp_path):
    run = RunFolder(tmp_path)
    run.acquire()
    with pytest.raises(UserError, match=f"process {os.getpid()}"):
        RunFolder(tmp_path).acquire()
    run.release()
    run.release()
    with RunFolder(tmp_path) as again:
        assert again.path == tmp_path


def test_taking_the_lock_clears_half_written_files_away(tmp_path):
    left_over = touch(tmp_path / f".{BASE}_1k.bin.tmp-99999-0", 0)
    RunFolder(tmp_path)
    assert left_over.exists()
    with RunFolder(tmp_path):
        assert not left_over.exists()


# --- somebody else's files -----------------------------------------------------------


OURS = {
    "metrics.jsonl": b'{"kind": "run", "config": {}}\n{"step": 1, "loss": 2.0}\n',
    "finetune.jsonl": b'{"kind": "finetune"}\n',
    "rl.jsonl": b'{"kind": "rl"}\n',
    "samples.txt": "step 3\n  'hello' → 'you'\n\n".encode(),
    "teach.jsonl": b'{"journal": 2}\n',
    "teach_question.json": b'{"taught": 1, "turns": []}',
    "corpora.json": b'{\n "key": {\n  "version": 1}}',
    "tokenizer.meta.json": b'{\n "recipe": 1}',
    "train.tokens": b"VIDYATOK....",
    ".lock": b"123\n",
}
"""How the files begin that vidya writes."""
THEIRS = {
    "metrics.jsonl": b'{"step": 1, "loss": 2.0}\n',
    "finetune.jsonl": b'{"messages": []}\n',
    "rl.jsonl": b'{"prompt": "a"}\n',
    "samples.txt": b"step by step\n",
    "teach.jsonl": b'{"lesson": "geography"}\n',
    "teach_question.json": b'{"question": "why?"}',
    "teach_base.safetensors": b"\x10\0\0\0\0\0\0\0" + b'{"wte": {}}     ',
    "corpora.json": b'{"corpora": ["a.txt"]}',
    "tokenizer.json": b'{"added_tokens": [{"content": "<|endoftext|>"}]}',
    "tokenizer.meta.json": b"{}",
    "train.tokens": b"1 2 3 4",
    "val.tokens": b"1 2 3 4",
    "replay.tokens": b"1 2 3 4",
    "replay_val.tokens": b"1 2 3 4",
    ".lock": b"do not touch\n",
    f"{BASE}.bin": b"\x80\x02}q\0",
    f"{BASE}_train.bin": b"PK\3\4",
    f"{BASE}_10k.bin": b"weights",
    "teach.1.jsonl": b"mine",
}


@pytest.mark.parametrize("name", THEIRS)
def test_somebody_elses_file_is_refused_by_name(tmp_path, name):
    (tmp_path / name).write_bytes(THEIRS[name])
    with pytest.raises(UserError) as caught, RunFolder(tmp_path):
        pass
    assert str(caught.value) == (
        f"{tmp_path / name} is no file of vidya and would be replaced: move it away"
    )
    assert {path.name for path in tmp_path.iterdir()} == {name}
    assert (tmp_path / name).read_bytes() == THEIRS[name]


def test_what_vidya_wrote_is_its_own_though_damaged(tmp_path):
    for name, content in OURS.items():
        (tmp_path / name).write_bytes(content)
    with open(tmp_path / "metrics.jsonl", "r+b") as file:
        file.write(b"#")  # a damaged line before the one that tells
        file.seek(0, os.SEEK_END)
        file.write(OURS["metrics.jsonl"])
    step = {"step": 1, "tokens": 9, "loss": 2.0, "lr": 1e-3, "rss_bytes": 5}
    (tmp_path / "metrics.jsonl").write_text("#damaged\n" + json.dumps(step) + "\n")
    path = model(tmp_path, f"{BASE}.bin", 3, 0)
    path.write_bytes(path.read_bytes()[:-3])
    (tmp_path / f"{BASE}_2.bin").write_bytes(bytes(999))  # as a power cut leaves them
    (tmp_path / f"{BASE}_1.bin").write_bytes(b"")
    with RunFolder(tmp_path) as run:
        assert run.foreign() == [] and run.has_metrics()


def test_a_folder_in_which_nothing_came_of_it_goes_again(tmp_path):
    for name, content in (("empty", None), ("kept", "text")):
        with pytest.raises(UserError), RunFolder(tmp_path / name) as run:
            if content:
                run.samples.write_bytes(OURS["samples.txt"])
            raise UserError("refused")
    assert {path.name for path in tmp_path.iterdir()} == {"kept"}
    with pytest.raises(UserError), RunFolder(tmp_path / "kept"):
        raise UserError("refused")
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {".lock", "samples.txt"}


def test_a_folder_a_fifo_and_a_dangling_link_are_not_ours(tmp_path):
    (tmp_path / "samples.txt").mkdir()
    os.mkfifo(tmp_path / "metrics.jsonl")
    (tmp_path / f"{BASE}.bin").symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match=r"metrics\.jsonl, .*bin, .*samples\.txt are no files of"):
        RunFolder(tmp_path).acquire()


@pytest.mark.parametrize("name", ["tokenizer.json", "train.tokens", "metrics.jsonl", "teach.jsonl"])
def test_a_link_to_a_disk_that_is_not_mounted_stays(name, tmp_path):
    (tmp_path / name).symlink_to("/not/mounted/file")
    with pytest.raises(UserError, match=name):
        RunFolder(tmp_path).acquire()
    assert (tmp_path / name).is_symlink()


def test_weights_and_lessons_are_set_aside_under_one_number(tmp_path):
    taught = model(tmp_path, f"{BASE}_train.bin", 3, 0)
    checkpoint.save(taught, {}, {"kind": "taught"})
    checkpoint.save(tmp_path / "teach_base.safetensors", {}, {})
    for name in ("teach.jsonl", "teach.1.jsonl"):
        (tmp_path / name).write_bytes(OURS["teach.jsonl"])
    with RunFolder(tmp_path) as run:
        kept = [path.name for path in run.set_finetuned_aside(BASE)]
        assert kept == [f"{BASE}_train.2.bin", "teach_base.2.safetensors", "teach.2.jsonl"]
        checkpoint.save(taught, {}, {"kind": "finetuned"})
        assert [path.name for path in run.set_finetuned_aside(BASE)] == [f"{BASE}_train.1.bin"]
        assert run.set_finetuned_aside(BASE) == []
        assert len(run.journals()) == 2
        run.delete_model()
        assert {path.name for path in tmp_path.iterdir()} == {".lock", "tokenizer.json"}


# --- finding a model ---------------------------------------------------------------


def test_the_newest_run_is_the_one_written_to_last(tmp_path):
    touch(tmp_path / "a" / "metrics.jsonl", 5)
    touch(tmp_path / "b" / "metrics.jsonl", 1)
    touch(tmp_path / "b" / f"{BASE}_1k.bin", 9)
    touch(tmp_path / "c" / "notes.txt", 99)
    touch(tmp_path / "file.bin", 99)
    assert newest_run(tmp_path) == tmp_path / "b"
    touch(tmp_path / "a" / "metrics.jsonl", 10)
    assert newest_run(tmp_path) == tmp_path / "a"


def test_no_runs(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"no run in .*empty/"):
        newest_run(tmp_path / "empty")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        resolve_model()
    assert str(caught.value) == (
        "no trained model in runs/: train one with `python -m vidya.train`"
    )


def resolved(path: Path | None, **options) -> Path:
    found, tokenizer = resolve_model(path, **options)
    assert tokenizer == found.parent / "tokenizer.json"
    return found


def test_a_checkpoint_is_taken_as_it_is(tmp_path):
    path = model(tmp_path, f"{BASE}_1k.bin", 1000, 0)
    model(tmp_path, f"{BASE}.bin", 2000, 1)
    assert resolved(path) == path
    assert resolved(str(path)) == path


def test_preferences_inside_a_run(tmp_path):
    old = model(tmp_path, f"{BASE}_1k.bin", 1000, 50)
    assert resolved(tmp_path) == old
    newer = model(tmp_path, f"{BASE}_1500.bin", 1500, 40)
    assert resolved(tmp_path) == newer, "by step, not by time"
    final = model(tmp_path, f"{BASE}.bin", 2000, 30)
    assert resolved(tmp_path) == final
    further = model(tmp_path, f"{BASE}_3k.bin", 3000, 20)
    assert resolved(tmp_path) == further, "the run was gone on with"
    trained = model(tmp_path, f"{BASE}_train.bin", 3000, 10)
    assert resolved(tmp_path) == trained


@pytest.mark.parametrize("times", [(1, 2), (2, 1)])
def test_as_many_steps_then_the_later_one(tmp_path, times):
    final = model(tmp_path, f"{BASE}.bin", 1000, times[0])
    during = model(tmp_path, f"{BASE}_1k.bin", 1000, times[1])
    assert resolved(tmp_path) == max(final, during, key=lambda path: path.stat().st_mtime)


def test_two_presets_in_one_folder(tmp_path):
    model(tmp_path, "microgpt_chat_nano_v5_train.bin", 0, 5)
    model(tmp_path, "microgpt_chat_nano_v5.bin", 9000, 4)
    newer = model(tmp_path, f"{BASE}_200.bin", 200, 6)
    assert resolved(tmp_path) == newer


def test_a_base_of_any_name(tmp_path):
    path = model(tmp_path, "train.bin", 10, 0)
    assert resolved(tmp_path) == path


def test_by_default_the_newest_run_that_has_a_model(tmp_path, monkeypatch):
    model(tmp_path / "runs" / "a", f"{BASE}.bin", 10, 1)
    path = model(tmp_path / "runs" / "b", f"{BASE}.bin", 11, 2)
    touch(tmp_path / "runs" / "c" / "metrics.jsonl", 3)  # has only just begun
    assert resolved(None, root=tmp_path / "runs") == path
    monkeypatch.chdir(tmp_path)
    assert resolved(None) == Path("runs/b") / path.name


def test_half_written_files_are_no_models(tmp_path):
    (tmp_path / "run").mkdir()
    touch(tmp_path / "run" / ".x.bin", 0)
    touch(tmp_path / "run" / f".{BASE}.bin.tmp-1-0", 0)
    with pytest.raises(UserError, match=r"no trained model in .*run/: train one"):
        resolve_model(tmp_path / "run")


def test_a_path_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"there is no .*nothing"):
        resolve_model(tmp_path / "nothing")


def test_a_model_without_a_tokenizer(tmp_path):
    path = model(tmp_path, f"{BASE}.bin", 10, 1)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"no tokenizer\.json beside"):
        resolve_model(path)


def test_a_damaged_final_checkpoint_is_named(tmp_path):
    model(tmp_path, f"{BASE}_1k.bin", 1000, 1)
    final = model(tmp_path, f"{BASE}.bin", 2000, 2)
    final.write_bytes(b"")
    with pytest.raises(UserError, match=f"{BASE}.bin is not a checkpoint"):
        resolve_model(tmp_path)


# --- which model is meant --------------------------------------------------------------


def derived(folder: Path, step: int, run_step: int | None = None, kind: str = "finetuned") -> Path:
    """Changed weights, made from `step` when the run had come to `run_step`."""
    path = folder / f"{BASE}_train.bin"
    about = {"kind": kind, "step": step, "origin": {"name": f"{BASE}.bin"}}
    checkpoint.save(path, {}, about if run_step is None else {**about, "run_step": run_step})
    return path


def test_a_run_that_went_on_is_what_was_made_last(tmp_path):
    model(tmp_path, f"{BASE}_60.bin", 60, 0)
    model(tmp_path, f"{BASE}.bin", 60, 1)
    trained, told = derived(tmp_path, 60, 60), []
    assert resolve_model(tmp_path, tell=told.append)[0] == trained and told == []
    further = model(tmp_path, f"{BASE}.bin", 120, 2)
    assert resolve_model(tmp_path, tell=told.append)[0] == further
    assert told == [
        f"{BASE}_train.bin was fine-tuned from step 60; the run is at step 120 since: using "
        f"{BASE}.bin; name the file to use the other"
    ]
    assert resolved(trained) == trained
    derived(tmp_path, 120, 120)
    assert resolve_model(tmp_path, tell=pytest.fail)[0] == trained


def test_what_was_made_of_a_checkpoint_in_the_middle_is_newer_than_the_run(tmp_path):
    model(tmp_path, f"{BASE}.bin", 120, 9)
    trained = derived(tmp_path, 60, 120)
    assert resolve_model(tmp_path, tell=pytest.fail)[0] == trained


@pytest.mark.parametrize(("time", "newer"), [(1, False), (9, False), (900, True)])
def test_files_that_do_not_say_how_far_the_run_was(tmp_path, time, newer):
    """Their dates tell, but not those that copying the folder gave them."""
    further = model(tmp_path, f"{BASE}.bin", 120, 5)
    trained = touch(derived(tmp_path, 60), time)
    assert resolved(tmp_path) == (trained if newer else further)


def test_what_was_set_aside_is_used_by_name_only(tmp_path):
    final = model(tmp_path, f"{BASE}.bin", 60, 0)
    aside = derived(tmp_path, 60, 60).rename(tmp_path / f"{BASE}_train.1.bin")
    assert resolved(tmp_path) == final and resolved(aside) == aside
    assert checkpoint_folder.base_of(aside) == BASE


def test_files_of_other_programs_are_no_checkpoints(tmp_path):
    for name in ("train.bin", "foo.bin", "model.bin"):
        touch(tmp_path / "runs" / "data" / name, 99).write_bytes(b"\1\2" * 99)
    with pytest.raises(UserError, match="no trained model in"):
        resolve_model(None, root=tmp_path / "runs")
    with pytest.raises(UserError, match=r"foo\.bin is not a checkpoint"):
        resolve_model(tmp_path / "runs" / "data" / "foo.bin")
    final = model(tmp_path / "runs" / "data", f"{BASE}.bin", 60, 0)
    assert resolved(None, root=tmp_path / "runs") == final
    final.write_bytes(b"\1\2" * 99)
    with pytest.raises(UserError, match=f"{BASE}.bin is not a checkpoint"):
        resolve_model(tmp_path / "runs" / "data")


def dated(folder: Path, second: int, **about) -> Path:
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").touch()
    about = {"step": 1, "written": f"2026-01-01T00:00:{second:02}.5+00:00", **about}
    checkpoint.save(folder / f"{BASE}.bin", {}, about)
    return folder


def test_a_model_without_metrics_is_passed_over_by_who_wants_some(tmp_path):
    """As `vidya.expand` writes it."""
    metrics = touch(tmp_path / "a" / "metrics.jsonl", 1)
    metrics.write_text('{"kind": "run"}\n')
    touch(metrics, 1)
    dated(tmp_path / "b", 50)
    assert newest_run(tmp_path) == tmp_path / "b"
    assert newest_run(tmp_path, with_metrics=True) == tmp_path / "a"


def test_a_copy_is_not_the_newest_run(tmp_path):
    old, newest = dated(tmp_path / "b_old", 1), dated(tmp_path / "c_new", 2)
    shutil.copytree(old, tmp_path / "a_copy", copy_function=shutil.copyfile)
    assert newest_run(tmp_path, tell=pytest.fail) == newest
    told = []
    shutil.copytree(newest, tmp_path / "a_new", copy_function=shutil.copyfile)
    assert newest_run(tmp_path, tell=told.append) == newest
    assert told == [
        f"{tmp_path}/a_new holds the same run as {newest}: using {newest}; name the other to use it"
    ]
    shutil.copytree(newest, tmp_path / "a_same_dates")
    assert newest_run(tmp_path, tell=told.append) == newest


def test_a_session_of_training_or_teaching_is_activity(tmp_path):
    first, second = dated(tmp_path / "a", 1), dated(tmp_path / "b", 50)
    session = {"kind": "run", "started": "2026-01-01T00:00:30+00:00"}
    lines = [session, {"step": 1, "time_s": 7.0}, {"step": 2, "time_s": 9.0}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (first / "metrics.jsonl").write_text(text)
    assert newest_run(tmp_path) == second
    (first / "metrics.jsonl").write_text(text.replace("9.0", "97.0"))
    assert newest_run(tmp_path) == first
    lesson = {"lesson": 0, "time": "2026-01-01T02:00:00+00:00"}
    (second / "teach.jsonl").write_text('{"journal": 2}\n' + json.dumps(lesson) + "\n")
    assert newest_run(tmp_path) == second


def test_a_link_to_a_run_is_no_other_run_and_other_programs_metrics_are_none(tmp_path):
    run = dated(tmp_path / "b", 1)
    (tmp_path / "a_latest").symlink_to(run)
    (tmp_path / "theirs").mkdir()
    touch(tmp_path / "theirs" / "metrics.jsonl", 99).write_text('{"loss": 1}\n')
    assert newest_run(tmp_path, tell=pytest.fail) == run


def test_only_leftovers_of_our_own_files_are_cleared_away(tmp_path):
    theirs = touch(tmp_path / ".draft.tmp-1-0", 0)
    ours = [f".{name}.tmp-99999-0" for name in ("metrics.jsonl", f"{BASE}_7.bin", "samples.txt")]
    for name in ours:
        touch(tmp_path / name, 0)
    with RunFolder(tmp_path):
        assert {path.name for path in tmp_path.iterdir()} == {theirs.name, ".lock"}


def test_a_copy_of_a_run_that_records_nothing_is_not_the_newest(tmp_path):
    old, newest = tmp_path / "old", tmp_path / "newest"
    model(old, f"{BASE}.bin", 1, 1)
    model(newest, f"{BASE}.bin", 2, 5)
    model(tmp_path / "copy", f"{BASE}.bin", 1, 9)
    assert newest_run(tmp_path, tell=pytest.fail) == newest


def test_folders_that_were_made_for_nothing_are_gone_again(tmp_path):
    with pytest.raises(UserError, match="bad"), RunFolder(tmp_path / "a" / "runs" / "new"):
        raise UserError("bad")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    with pytest.raises(UserError, match="bad"), RunFolder(tmp_path / "mine" / "new"):
        raise UserError("bad")
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]
