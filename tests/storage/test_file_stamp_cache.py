"""What is remembered of corpora: used while nothing changed, never when something did."""

import dataclasses
import json
import os
import time

import pytest
from support.training_runs import conversations, write_corpus

from vidya.errors import UserError
from vidya.storage import file_stamp_cache
from vidya.storage.run_folder import RunFolder
from vidya.text.corpus_summary import corpus_hash
from vidya.text.held_out_split import is_held_out
from vidya.training import run_corpora
from vidya.training.options import TrainOptions
from vidya.training.run_corpora import remember, survey


@pytest.fixture
def options(tmp_path):
    path = write_corpus(tmp_path, 60)
    return TrainOptions(data=(path,), val_fraction=0.2, merges=20)


@pytest.fixture
def run(tmp_path):
    with RunFolder(tmp_path / "run") as run:
        yield run


@pytest.fixture
def later(monkeypatch):
    """The clock, ten seconds ahead: files just written were written long ago."""
    now = time.time_ns
    monkeypatch.setattr(file_stamp_cache.time, "time_ns", lambda: now() + 10_000_000_000)


def reads(monkeypatch, options, run) -> tuple[int, run_corpora.CorpusSources]:
    """How many files a survey reads, and what it finds."""
    count = 0
    original = run_corpora.corpus_file.read_documents

    def counting(path):
        nonlocal count
        count += 1
        return original(path)

    with monkeypatch.context() as patch:
        patch.setattr(run_corpora.corpus_file, "read_documents", counting)
        sources = survey(options, run)
    return count, sources


@pytest.mark.parametrize("how", ["fraction", "file", "none"])
def test_what_did_not_change_is_not_read_again(run, options, later, monkeypatch, tmp_path, how):
    if how == "file":
        shared = options.data[0].read_text().splitlines()[0]
        (tmp_path / "val.txt").write_text(f"hello there\n{shared}\n")
        options = dataclasses.replace(options, val=tmp_path / "val.txt")
    elif how == "none":
        options = dataclasses.replace(options, val_fraction=0.0)
    first = survey(options)
    remember(run, options, survey(options, run))
    count, second = reads(monkeypatch, options, run)
    assert count == 0
    assert second.train.summary == first.train.summary
    assert (second.held_out is None) == (how == "none")
    if first.held_out is not None:
        assert second.held_out.summary == first.held_out.summary
        assert list(second.held_out.documents()) == list(first.held_out.documents())
    assert (second.shared == first.shared) and (first.shared is not None) == (how == "file")
    assert list(second.train.documents()) == list(first.train.documents())
    # Nor is what did not change written again.
    before = run.summaries.stat()
    remember(run, options, second)
    assert run.summaries.stat().st_mtime_ns == before.st_mtime_ns


def edit_in_place(path):
    """Another text of the same size in the same file, its time set back."""
    was = path.stat()
    with open(path, "r+b") as file:
        file.seek(9)
        file.write(b"XY")
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


def replace(path):
    path.rename(path.with_name("old"))
    path.write_text("".join(line + "\n" for line in conversations(50, seed=5)))


@pytest.mark.parametrize("change", [edit_in_place, replace, lambda path: path.write_text("a\nb\n")])
def test_a_change_is_noticed(run, options, later, monkeypatch, change):
    options = dataclasses.replace(options, val_fraction=0.0)
    remember(run, options, survey(options, run))
    change(options.data[0])
    count, sources = reads(monkeypatch, options, run)
    assert count == 1
    assert sources.train.summary.hash == corpus_hash(options.data[0].read_text().splitlines())


def test_other_options_are_other_summaries(run, options, later, monkeypatch):
    remember(run, options, survey(options, run))
    count, sources = reads(monkeypatch, dataclasses.replace(options, val_fraction=0.5), run)
    assert count == 1
    train = [line for line in conversations(60) if not is_held_out(line, 0.5)]
    assert sources.train.summary.hash == corpus_hash(train)


def test_a_file_just_written_is_not_relied_on(run, options, monkeypatch):
    options.data[0].write_text(options.data[0].read_text())
    remember(run, options, survey(options, run))
    assert not run.summaries.exists()


def test_a_file_from_the_future_is_not_relied_on(options, later):
    assert file_stamp_cache.stamp(options.data) is not None
    ahead = time.time_ns() + 3_600_000_000_000
    os.utime(options.data[0], ns=(ahead, ahead))
    assert file_stamp_cache.stamp(options.data) is None


def test_a_file_that_changes_while_it_is_read_is_not_remembered(run, options, later):
    sources = survey(options, run)
    replace(options.data[0])
    remember(run, options, sources)
    assert not run.summaries.exists()


def test_a_damaged_record_is_not_used(run, options, later, monkeypatch):
    remember(run, options, survey(options, run))
    whole = run.summaries.read_bytes()
    record = json.loads(whole)
    record["value"][0]["hash"] = "0" * 32
    for raw in (b"", whole[:-20], b"[]", b"null", json.dumps(record).encode(), b"\xff"):
        run.summaries.write_bytes(raw)
        count, sources = reads(monkeypatch, options, run)
        assert count == 1 and sources.key is not None
    run.summaries.write_bytes(whole)
    assert reads(monkeypatch, options, run)[0] == 0
    monkeypatch.setattr(file_stamp_cache, "_VERSION", file_stamp_cache._VERSION + 1)
    assert reads(monkeypatch, options, run)[0] == 1


def test_a_missing_file_is_still_an_error(run, options, later):
    remember(run, options, survey(options, run))
    options.data[0].unlink()
    with pytest.raises(UserError, match="there is no such file"):
        survey(options, run)
