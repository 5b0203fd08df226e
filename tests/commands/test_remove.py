"""`list`, `show` and `remove` as commands: what they print, and what is asked before deleting."""

import shutil

import pytest
from support.chat_runs import run_folder, tokenizer  # noqa: F401
from support.commands import in_terminal, run_command_process


@pytest.fixture
def home(run_folder, tmp_path):  # noqa: F811
    shutil.copytree(run_folder, tmp_path / "runs" / "nano")
    return tmp_path


def test_list_show_and_remove(home):
    listed = run_command_process("list", cwd=home)
    assert listed.returncode == 0 and "\nnano" in listed.stdout
    shown = run_command_process("show", "nano", cwd=home)
    assert shown.returncode == 0 and shown.stdout.startswith("runs/nano\n")
    asked = run_command_process("remove", "nano", cwd=home)
    assert asked.returncode == 2 and "--yes deletes without asking" in asked.stderr
    refused = run_command_process("remove", ".", "--yes", cwd=home)
    assert refused.returncode == 2 and "is no run folder of vidya: nothing" in refused.stderr
    assert (home / "runs" / "nano").is_dir()
    done = run_command_process("remove", "nano", "--yes", cwd=home)
    assert done.returncode == 0 and not (home / "runs" / "nano").exists()
    assert run_command_process("list", cwd=home).stderr.startswith("error: no model in runs/")


@pytest.mark.parametrize(("answer", "stays"), [("n", True), ("", True), ("y", False)])
def test_removing_asks_first(home, answer, stays):
    child = in_terminal("remove", "nano", cwd=home)
    child.expect(r"delete runs/nano for good\? \[y/N\] ")
    child.sendline(answer)
    child.expect("nothing was deleted" if stays else "runs/nano was deleted")
    child.wait()
    assert (home / "runs" / "nano").exists() == stays
