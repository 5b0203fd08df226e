"""Results in a folder of their own: the model's is only read, and theirs is a run folder."""

import json
import os

import pytest
from support.chat_runs import NAME, babbling_model, chat, save_run
from support.commands import run_command_process
from support.teaching_runs import TAUGHT, teach, teachable_run
from support.training_runs import snapshot

from vidya.errors import UserError
from vidya.posttraining.results_folder import results_folder
from vidya.posttraining.trained_run import open_trained_run
from vidya.storage.checkpoint_format import read_digest, read_meta
from vidya.storage.find_model import resolve_model
from vidya.text.tokenizer_training import train_tokenizer

LINE = "<|user|> who are you <|assistant|> i am fine\n"


@pytest.fixture
def run(tmp_path):
    """A run folder with the record of a training, which nothing may be written to."""
    folder = teachable_run(tmp_path / "run")
    described = {"kind": "run", "config": {}, "options": {}, "session": 1}
    (folder / "metrics.jsonl").write_text(json.dumps(described) + "\n")
    before = snapshot(folder)
    yield folder
    assert snapshot(folder) == before, "something was written beside the model"
    assert not (folder / ".lock").exists()


def done(name, *arguments):
    found = run_command_process(name, *arguments)
    assert found.returncode == 0, found.stderr
    return found.stdout


FILES = {NAME.replace(".bin", "_train.bin"), "tokenizer.json", "train.tokens", "val.tokens",
         "metrics.jsonl", ".lock"}  # fmt: skip


def test_fine_tuning(run, tmp_path):
    out, persona = tmp_path / "mine", tmp_path / "persona.txt"
    persona.write_text(LINE)
    settings = ["--epochs", 2, "--threads", 1]
    said = done("finetune", persona, "--model", run, "--out", out, *settings)
    assert f"model: {out / TAUGHT}\n" in said
    assert {path.name for path in out.iterdir()} == {*FILES, "finetune.jsonl"}
    assert read_meta(out / TAUGHT)["origin"]["digest"] == read_digest(run / NAME)
    # it is a run folder now
    assert resolve_model(out)[0] == out / TAUGHT
    assert done("eval", out, "--replies", 0, "--threads", 1)
    first = (out / TAUGHT).read_bytes()
    done("finetune", persona, "--model", out, *settings)
    second = (out / TAUGHT).read_bytes()
    # and begun with the same again, it keeps what is there
    done("finetune", persona, "--model", run, "--out", out, *settings)
    assert second == (out / TAUGHT.replace(".bin", ".1.bin")).read_bytes() != first


def test_teaching_goes_on_there(run, tmp_path):
    out = tmp_path / "mine"
    status, said, err = teach(run, "--out", out, "--ask", "hello")
    assert status == 0 and not (out / TAUGHT).exists(), err
    for arguments in (["--pick", 2], ["--ask", "you", "--answer", "i am fine"]):
        assert teach(run, "--out", out, *arguments)[0] == 0
    assert teach(out, "--ask", "how", "--answer", "fine")[0] == 0
    assert {path.name for path in out.iterdir()} == {
        *FILES, "teach.jsonl", "teach_base.safetensors", "teach_question.json",
    }  # fmt: skip
    assert read_digest(out / "teach_base.safetensors") == read_digest(run / NAME)
    assert "the same bytes as before" in teach(run, "--out", out, "--replay-journal")[1]
    status, said, _ = teach(run, "--out", out, "--undo")
    assert status == 0 and "taken back: 'fine'" in said
    status, _, err = chat(out, "--prompt", "hi", "--max-tokens", 3, "--precision", "fp32")
    assert status == 0, err
    # lessons of another model are not gone on with, nor replaced
    tokenizer = train_tokenizer([LINE], 20)
    other = save_run(tmp_path / "other", tokenizer, babbling_model(tokenizer))
    before = snapshot(out)
    status, _, err = teach(other, "--out", out, "--ask", "hello")
    assert status == 2 and "began with another model" in err and snapshot(out) == before


def test_reinforcement_learning(run, tmp_path):
    out = tmp_path / "mine"
    settings = "--steps 1 --eval-every 1 --max-tokens 4 --group 2 --threads 1".split()
    reward = "--reward", "vidya.rewards:no_repeats"
    said = done("rl", *reward, "--model", run, "--out", out, *settings)
    assert f"{out / TAUGHT}, after step 1" in said
    assert {path.name for path in out.iterdir()} == {*FILES, "rl.jsonl"}


def test_a_folder_that_cannot_be_written_to(run, monkeypatch):
    allowed = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: mode == os.R_OK and allowed(path, mode)
    )  # root may write everywhere
    with pytest.raises(UserError, match=r"cannot write to .*run, where .* with --out"):
        with open_trained_run(run):
            pass


def test_a_folder_that_holds_another_run(run, tmp_path):
    tokenizer = train_tokenizer([LINE], 20)
    other = save_run(tmp_path / "other", tokenizer, babbling_model(tokenizer))
    before = snapshot(other)
    with pytest.raises(UserError, match=f"other holds another run \\({NAME}\\)"):
        with open_trained_run(run, out=other):
            pass
    (other / NAME).unlink()
    with pytest.raises(UserError, match=r"other.*tokenizer.json is another tokenizer"):
        with open_trained_run(run, out=other):
            pass
    del before[NAME]
    assert snapshot(other) == before


def test_nothing_comes_of_it(run, tmp_path):
    persona = tmp_path / "persona.txt"
    persona.write_text("<|user|> hi\n")
    found = run_command_process("finetune", persona, "--model", run, "--out", tmp_path / "mine")
    assert found.returncode == 2 and not (tmp_path / "mine").exists()


def test_the_models_own_folder_may_be_named(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(run)
    with results_folder(run / NAME, tmp_path / "link") as folder:
        assert folder.path == run
    (run / ".lock").unlink()
