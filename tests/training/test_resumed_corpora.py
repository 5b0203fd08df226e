"""A run goes on with its folder alone: what it is trained on is kept there."""

import dataclasses
import json
import os
import shutil

import pytest
from support.small_runs import session
from support.training_runs import conversations, curve, snapshot, weights

from vidya.corpora import chitchat
from vidya.errors import UserError
from vidya.storage import metrics_log
from vidya.training import other_machine
from vidya.training.options import TrainOptions
from vidya.training.resumed_corpora import located

pytestmark = pytest.mark.usefixtures("kernel_settings")


def told(said):
    """What is said of text that is not as it was."""
    return [line for line in said if "kept in" in line]


def without_corpus(run, folder, change):
    """The run in a folder copied elsewhere, its corpus changed; goes on with what it kept."""
    moved = dataclasses.replace(run, out=folder / "elsewhere")
    shutil.copytree(run.out, moved.out)
    change()
    return moved


@pytest.fixture
def run(stopped):
    return stopped("run")


def rewrite(path):
    path.write_text("\n".join(conversations(90, seed=7)))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda path: path.unlink(), "corpus {} is not here: going on with the tokens kept in {}"),
        (rewrite, "corpus {} is another text than it was when the run began: going on with the "
                  "tokens kept in {}"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00\xd8"), "{}"),
    ],
    ids="missing other unreadable".split(),
)  # fmt: skip
def test_a_corpus_that_is_not_as_it_was(run, tmp_path, change, says, stopped):
    whole = stopped("whole")
    assert told(session(whole)) == []
    corpus = run.data[0]
    moved = without_corpus(run, tmp_path, lambda: change(corpus))
    said = told(session(moved))
    assert len(said) == 1 and said[0].startswith(says.format(corpus, moved.out)), said
    assert curve(moved.out) == curve(whole.out) and weights(moved.out) == weights(whole.out)


def test_a_corpus_that_came_through_a_pipe(run, tmp_path):
    corpus = run.data[0]

    def change():
        corpus.unlink()
        os.mkfifo(corpus)  # whoever opened it would wait for ever

    moved = without_corpus(run, tmp_path, change)
    assert told(session(moved)) == [
        f"corpus {corpus} could be read only once: going on with the tokens kept in {moved.out}"
    ]


def test_a_corpus_that_is_named_must_be_the_one(run):
    rewrite(other := run.data[0].with_name("other.txt"))
    before = snapshot(run.out)
    with pytest.raises(UserError, match="was trained on another corpus than the one given"):
        session(run, data=(other,))
    with pytest.raises(UserError, match=r"cannot read .*gone\.txt"):
        session(run, data=(other.with_name("gone.txt"),))
    assert snapshot(run.out) == before


@pytest.mark.parametrize("name", ["train.tokens", "val.tokens"])
def test_kept_tokens_that_are_damaged(run, name):
    path, corpus = run.out / name, run.data[0]
    whole, text = path.read_bytes(), corpus.read_text()
    path.write_bytes(whole[:-9])
    corpus.unlink()
    before = snapshot(run.out)
    with pytest.raises(UserError) as caught:
        session(run)
    assert str(caught.value) == (
        f"corpus {corpus} is not here, and its tokens in {path} are damaged: bring the text back, "
        "or name it with --data and --val"
    )
    path.unlink()
    with pytest.raises(UserError, match=f"are not kept in .*{name}: bring the text back"):
        session(run)
    assert snapshot(run.out) == {key: value for key, value in before.items() if key != name}
    corpus.write_text(text)
    session(run, until=6)
    assert path.read_bytes() == whole


def test_a_held_out_file_that_became_another(options, tmp_path):
    val = tmp_path / "val.txt"
    val.write_text("\n".join(conversations(9, seed=3)))
    one = dataclasses.replace(options, val=val, precision="fp32")
    session(one, until=5, resume=False)
    straight = dataclasses.replace(one, out=tmp_path / "straight")
    shutil.copytree(one.out, straight.out)
    session(straight)
    rewrite(val)
    said = told(session(one))
    assert said == [
        f"{val} is another text than it was when the run began: going on with the tokens kept in "
        f"{one.out}"
    ]
    assert curve(one.out) == curve(straight.out)


def test_another_held_out_file_can_be_named(options, tmp_path):
    val = tmp_path / "val.txt"
    val.write_text("\n".join(conversations(9, seed=3)))
    one = dataclasses.replace(options, val=val, precision="fp32")
    session(one, until=5, resume=False)
    rewrite(other := tmp_path / "other.txt")
    said = session(one, val=other)
    assert told(said) == [] and f"the held-out text is another from here on: {other}" in said


def test_from_another_folder(run, tmp_path, monkeypatch, stopped):
    """Relative names hold where the training was started."""
    work, other = tmp_path / "work", tmp_path / "other"
    work.mkdir()
    other.mkdir()
    shutil.copy(run.data[0], work / "text.txt")
    monkeypatch.chdir(work)
    begun = dataclasses.replace(run, data=(type(work)("text.txt"),), out=tmp_path / "relative")
    session(begun, until=5, resume=False)
    monkeypatch.chdir(other)
    assert told(session(begun, until=7)) == []
    (work / "text.txt").rename(other / "text.txt")
    assert told(session(begun, until=9)) == []  # here, when it is not there any more
    (other / "text.txt").unlink()
    assert told(session(begun)) == [
        f"corpus text.txt is not here: going on with the tokens kept in {begun.out}"
    ]
    session(straight := stopped("straight"))
    assert curve(begun.out) == curve(straight.out)


def test_names_of_files_where_they_are(tmp_path):
    (tmp_path / "there.txt").touch()
    options = TrainOptions(data=tuple(map(tmp_path.__class__, ["there.txt", "x.txt", "/a.txt"])))
    found = located(options, str(tmp_path))
    assert [str(path) for path in found.data] == [f"{tmp_path}/there.txt", "x.txt", "/a.txt"]
    assert located(options, None) == options


def test_without_the_package_of_the_default_corpus(options, monkeypatch, tmp_path):
    lines = conversations(60)
    (tmp_path / "package").touch()
    monkeypatch.setattr(chitchat, "chitchat_documents", lambda: iter(lines))
    monkeypatch.setattr(chitchat, "chitchat_path", lambda: tmp_path / "package")
    one = dataclasses.replace(options, data=(), precision="fp32")
    session(one, until=5, resume=False)

    def missing():
        raise UserError("no chitchat")

    monkeypatch.setattr(chitchat, "chitchat_path", missing)
    assert told(session(one)) == [
        f"corpus chitchat is not here: going on with the tokens kept in {one.out}"
    ]


def test_text_that_a_new_run_would_replace(run):
    samples = run.out / "samples.txt"
    assert samples.exists()
    again = dataclasses.replace(run, data=(samples,), overwrite=True)
    with pytest.raises(UserError, match=r"samples\.txt is one of the files that a run writes to"):
        session(again, resume=False)
    assert samples.exists()


def test_a_tokenizer_that_is_named_again(run, tmp_path):
    shutil.copy(run.out / "tokenizer.json", tmp_path / "same.json")
    session(run, until=6, tokenizer=tmp_path / "same.json")
    content = json.loads((tmp_path / "same.json").read_text())
    content["model"]["merges"].pop()
    (tmp_path / "other.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"other\.json is not the tokenizer that .*_6\.bin was"):
        session(run, tokenizer=tmp_path / "other.json")
    content["added_tokens"] = content["added_tokens"][:1]
    (tmp_path / "theirs.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"it lacks <\|user\|>, <\|assistant\|>, which begin the"):
        session(run, tokenizer=tmp_path / "theirs.json")


def test_another_machine(run, monkeypatch):
    monkeypatch.setattr(other_machine, "processor_name", lambda: "Z80")
    monkeypatch.setattr(other_machine, "resolve_precision", lambda _: "bf16")
    was = metrics_log.lines_of_kind(run.out / "metrics.jsonl")[0]["processor"]
    said = session(run, until=6)
    assert not any(line.startswith("precision") for line in said)  # it was chosen, not found
    assert [line for line in said if line.startswith("the processor")] == [
        f"the processor was {was} and is Z80: from here on numbers may differ from those of that "
        "one in their last digits"
    ]
    known = dataclasses.replace(run, tensorboard=True)
    said = []

    def none():
        raise UserError("no tensorboardX")

    monkeypatch.setattr(other_machine, "summary_writer", none)
    how = {"processor": "Z80", "auto_precision": True}
    found = other_machine.tell_what_differs_here(known, set(), said.append, **how)
    assert not found.tensorboard and said == [
        "precision stays fp32, as the run began (auto would be bf16 here)",
        "going on without TensorBoard (no tensorboardX)",
    ]
    with pytest.raises(UserError, match="no tensorboardX"):
        other_machine.tell_what_differs_here(known, {"tensorboard"}, said.append, **how)
