"""`python -m vidya.export`: what it writes, says and refuses."""

import pytest
from support.commands import run_command_process
from support.training_runs import snapshot

pytestmark = pytest.mark.auto_precision


def export(*arguments, cwd):
    return run_command_process("export", *arguments, cwd=cwd)


def test_a_folder_that_the_other_commands_take(growing_work):
    done = export("run", "--threads", 1, cwd=growing_work)
    assert done.returncode == 0, done.stderr
    assert "written     run-hf, a folder for Hugging Face's transformers" in done.stdout
    assert "from transformers import pipeline" in done.stdout and '"./run-hf"' in done.stdout
    again = export("run-hf", "--out", "again", "--threads", 1, cwd=growing_work)
    assert again.returncode == 0, again.stderr
    one, two = (growing_work / name / "config.json" for name in ("run-hf", "again"))
    assert one.read_bytes() == two.read_bytes()
    measured = run_command_process(
        "eval", "run-hf", "--data", "small.txt", "--tokens", 200, "--replies", 1,
        "--max-tokens", 5, "--threads", 1, cwd=growing_work,
    )  # fmt: skip
    assert measured.returncode == 0 and "bits per byte" in measured.stdout


def test_refusals_are_one_line_and_write_nothing(growing_work):
    (growing_work / "full").mkdir()
    (growing_work / "full" / "theirs").touch()
    before = snapshot(growing_work)
    for arguments, says in (
        (["run", "--out", "full"], "full is not empty: use another --out"),
        (["run", "--out", "small.txt"], "small.txt is not a folder: use another --out"),
        (["run", "--to", "onnx"], "--to cannot be 'onnx'"),
        (["run", "--precision", "q4"], "--precision cannot be 'q4'"),
        (["run", "--to", "gguf", "--out", "small.txt"], "small.txt is there already: use another"),
        (["run", "--precision", "q8_0"], "--precision q8_0 is not for a folder for Hugging Face's"),
        (["run", "--allow-other-ids"], "--allow-other-ids is for --to gguf"),
        (["none"], "there is no none"),
        (["small.txt"], "small.txt is no model"),
    ):
        done = export(*arguments, cwd=growing_work)
        assert done.returncode == 2 and says in done.stderr, done.stderr
        assert done.stderr.count("\n") == 1 and done.stdout == ""
    assert snapshot(growing_work) == before
