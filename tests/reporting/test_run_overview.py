"""Which models there are: lines about run folders, and what is read of them."""

import json
import os
import shutil
from pathlib import Path

import pytest
from support.chat_runs import NAME, run_folder, tokenizer  # noqa: F401
from support.run_logs import run_lines, write

from vidya.errors import UserError
from vidya.reporting.run_overview import list_lines, overview, overviews, show_lines
from vidya.storage.checkpoint_format import read_meta
from vidya.storage.find_model import named_folder, resolve_model
from vidya.storage.model_story import story
from vidya.storage.removed_run import remove_run, require_removable
from vidya.storage.run_folder import RunFolder


@pytest.fixture
def runs(run_folder, tmp_path, monkeypatch):  # noqa: F811
    """A folder `runs` with a model in it, and the current folder around it."""
    shutil.copytree(run_folder.parent, tmp_path / "runs")
    write(tmp_path / "runs" / "nano" / "metrics.jsonl", run_lines(100))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def told_as(runs, kind, **about):
    """What is told of the model of `runs`, had it been made so."""
    path = runs / "nano" / NAME
    return story(path, {**read_meta(path), "kind": kind, **about})


def test_what_a_model_has_been_through(runs):
    nano = runs / "nano"
    assert told_as(runs, "final") == []
    assert told_as(runs, "finetuned") == ["fine-tuned"]
    lines = [{"kind": "finetune", "files": ["a/old.txt"]}, {"step": 1}]
    write(nano / "finetune.jsonl", [*lines, {"kind": "finetune", "files": ["me.txt", "you.txt"]}])
    assert told_as(runs, "finetuned") == ["fine-tuned on me.txt, you.txt"]
    journal = [{"journal": 3}, {"lesson": 1}, {"lesson": 2}, {"undo": 2}, {"lesson": 2}]
    write(nano / "teach.jsonl", journal)
    assert told_as(runs, "taught", origin={"kind": "finetuned"}) == [
        "fine-tuned on me.txt, you.txt", "2 lessons",
    ]  # fmt: skip
    assert told_as(runs, "rl", rl={"reward": "mine:polite"}) == ["rewarded by mine:polite"]


def test_a_list_of_models(runs):
    (runs / "notes").mkdir()
    found = overviews(runs)
    assert [one.folder.name for one in found] == ["nano"]
    heading, row, *_ = list_lines(found, 120)
    assert heading.split()[:3] == ["name", "size", "trained"]
    assert row.split()[:5] == ["nano", "nano,", "0.0", "M", "chitchat"]
    assert "1,200" in row and "3.01" in row  # of the last evaluation
    assert list_lines(found, 40)[0] == "nano"  # one below the other


def test_a_run_in_use_and_a_damaged_one_are_listed(runs):
    with RunFolder(runs / "nano"):
        assert overview(runs / "nano").state == "training"
        with pytest.raises(UserError, match=rf"in use by another command \(process {os.getpid()}"):
            require_removable(runs / "nano")
    (runs / "nano" / "tokenizer.json").unlink()
    found = overview(runs / "nano")
    assert found.state.startswith("no tokenizer.json beside") and found.checkpoint is None
    assert any("no tokenizer.json" in line for line in show_lines(found))


def test_removing_a_run_leaves_what_is_not_of_vidya(runs):
    nano = runs / "nano"
    (nano / "diary.txt").write_text("mine\n")
    (nano / "other.bin").write_bytes(b"of another program")
    freed, left = remove_run(nano)
    assert freed > 10_000 and left == ["diary.txt", "other.bin"]
    assert sorted(path.name for path in nano.iterdir() if path.name != ".lock") == left


def test_removing_a_run(runs):
    remove_run(runs / "nano")
    assert list(runs.iterdir()) == []


def test_a_link_to_a_run_is_not_removed(runs):
    (runs / "link").symlink_to("nano")
    with pytest.raises(UserError, match="is a link to nano"):
        remove_run(runs / "link")


def test_a_model_is_found_by_the_name_of_its_run(runs):
    assert str(resolve_model("nano")[0]) == f"runs/nano/{NAME}"
    assert str(named_folder(Path("nano"))) == "runs/nano"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nanno", "there is no nanno: did you mean runs/nano?"),
        ("thing", r"there is no thing: name a checkpoint or a run folder \(nano\)"),
        ("runs", r"runs/ holds 1 model \(nano\): name one, such as runs/nano"),
        ("me.txt", "me.txt is no model: .*python -m vidya.finetune me.txt"),
        ("picture.png", "picture.png is no model: name a run folder or a checkpoint in one"),
    ],
)
def test_what_is_no_model_is_told_with_what_helps(runs, name, says):
    (runs.parent / "me.txt").write_text(json.dumps("who are you?"))
    (runs.parent / "picture.png").write_bytes(b"\x89PNG")
    with pytest.raises(UserError, match=f"^{says}"):
        resolve_model(name)
