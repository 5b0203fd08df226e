"""What a run trains on: the split, the files in the run folder, and what is refused."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from support.small_tokenizer import without_normaliser
from support.training_runs import conversations, write_corpus

from vidya.corpora.chitchat import chitchat_documents
from vidya.errors import UserError
from vidya.storage.run_folder import RunFolder
from vidya.text.corpus_summary import corpus_hash
from vidya.text.held_out_split import is_held_out
from vidya.text.tokenizer_training import remember_origin, train_tokenizer
from vidya.training import run_corpora
from vidya.training.options import TrainOptions
from vidya.training.run_corpora import named_tokenizer, prepare, remember, survey

SPACED = [f"<|user|> hi, you {i}. <|assistant|> Oh, hi." for i in range(3)]


@pytest.fixture
def options(tmp_path):
    return TrainOptions(data=(write_corpus(tmp_path, 60),), val_fraction=0.2, merges=20)


@pytest.fixture
def run(tmp_path):
    with RunFolder(tmp_path / "run") as run:
        yield run


def said_while_preparing(run, options, tokenizer_hash=None):
    said = []
    return prepare(run, options, said.append, tokenizer_hash=tokenizer_hash), said


def texts(cache, tokenizer):
    """The documents of a cache as the corpus has them, without the two bos."""
    return [
        "".join(spelled(token, tokenizer) for token in cache.tokens[begin:end].tolist()[1:-1])
        for begin, end in itertools.pairwise(cache.offsets)
    ]


def spelled(token, tokenizer):
    markers = {tokenizer.user_id: "<|user|>", tokenizer.assistant_id: "<|assistant|>"}
    return markers.get(token) or tokenizer.decode([token])


# ---------------------------------------------------------------- the split


def test_every_document_is_trained_on_or_held_out(run, options):
    lines = conversations(60)
    prepared, _ = said_while_preparing(run, options)
    held_out = [line for line in lines if is_held_out(line, 0.2)]
    train = [line for line in lines if not is_held_out(line, 0.2)]
    assert 4 < len(held_out) < 25
    assert texts(prepared.train, prepared.tokenizer) == train
    assert texts(prepared.held_out, prepared.tokenizer) == held_out
    assert prepared.corpus_hash == corpus_hash(train)


def test_a_held_out_file_leaves_the_corpus_whole(run, options, tmp_path):
    (tmp_path / "val.txt").write_text("hello there\n\ngood bye\n")
    options = dataclasses.replace(options, val=tmp_path / "val.txt")
    prepared, _ = said_while_preparing(run, options)
    assert texts(prepared.train, prepared.tokenizer) == conversations(60)
    assert texts(prepared.held_out, prepared.tokenizer) == ["hello there", "good bye"]


def test_nothing_held_out(run, options):
    said_while_preparing(run, options)
    assert run.held_out_tokens.exists()  # which the next run has no text for
    prepared, _ = said_while_preparing(run, dataclasses.replace(options, val_fraction=0.0))
    assert prepared.held_out is None and prepared.train.documents == 60
    assert not run.held_out_tokens.exists()


def test_files_follow_each_other(run, options, tmp_path):
    (tmp_path / "more.txt").write_text("one more\n")
    files = (tmp_path / "more.txt", *options.data)
    several = dataclasses.replace(options, data=files, val_fraction=0.0)
    prepared, said = said_while_preparing(run, several)
    assert texts(prepared.train, prepared.tokenizer) == ["one more", *conversations(60)]
    assert f"corpus {files[0]}, {files[1]}: 61 documents" in said[-1]


def test_chitchat_is_the_default_corpus(monkeypatch):
    """The first 400 of its conversations here: all of them take seconds."""
    everything = list(itertools.islice(chitchat_documents(), 400))
    monkeypatch.setattr(run_corpora.chitchat, "chitchat_documents", lambda: iter(everything))
    sources = survey(TrainOptions())
    held_out = [text for text in everything if is_held_out(text, 0.02)]
    assert sources.train.summary.documents == 400 - len(held_out)
    assert list(sources.held_out.documents()) == held_out and 2 <= len(held_out) <= 20


# ---------------------------------------------------------------- the tokenizer and the caches


def test_the_tokenizer_sees_nothing_held_out(run, options):
    """Merges are learned from the training documents alone."""
    prepared, _ = said_while_preparing(run, options)
    train = [line for line in conversations(60) if not is_held_out(line, 0.2)]
    assert prepared.tokenizer.hash == train_tokenizer(train, 20).hash
    assert prepared.tokenizer.hash != train_tokenizer(conversations(60), 20).hash


def test_what_is_there_is_used_again(run, options):
    first, said = said_while_preparing(run, options)
    assert said[0] == "training a tokenizer with 20 merges"
    files = [path for path in run.path.iterdir() if path != run.lock]
    before = {path: path.stat().st_mtime_ns for path in files}
    second, said = said_while_preparing(run, options)
    assert len(said) == 1 and said[0].startswith("corpus ")
    assert {path: path.stat().st_mtime_ns for path in files} == before
    assert np.array_equal(first.train.tokens, second.train.tokens)


def test_another_run_on_the_same_text_trains_no_tokenizer(run, options, tmp_path):
    first, _ = said_while_preparing(run, options)
    with RunFolder(tmp_path / "another") as other:
        second, said = said_while_preparing(other, options)
        assert said[0] == "tokenizer with 20 merges: kept from an earlier run on the same text"
        assert other.tokenizer.read_bytes() == run.tokenizer.read_bytes()
        assert other.tokenizer_origin.read_bytes() == run.tokenizer_origin.read_bytes()
    assert np.array_equal(first.train.tokens, second.train.tokens)


def test_whether_digits_are_cut_off_is_as_the_options_say(run, options, tmp_path):
    first, _ = said_while_preparing(run, options)
    otherwise = dataclasses.replace(options, split_digits=False)
    second, said = said_while_preparing(run, otherwise)
    assert first.tokenizer.splits_digits and not second.tokenizer.splits_digits
    assert said[0] == "training a tokenizer with 20 merges"
    with RunFolder(tmp_path / "another") as other:  # what is remembered is of the same setting
        third, _ = said_while_preparing(other, options)
    assert third.tokenizer.hash == first.tokenizer.hash
    # a run that goes on keeps what it has, whatever the options say
    again, _ = said_while_preparing(run, options, second.tokenizer.hash)
    assert again.tokenizer.hash == second.tokenizer.hash


def test_what_is_stale_is_made_anew(run, options):
    said_while_preparing(run, options)
    options.data[0].write_text("".join(line + "\n" for line in conversations(50, seed=5)))
    prepared, said = said_while_preparing(run, options)
    assert said[0].startswith("training a tokenizer")
    expected = [line for line in conversations(50, seed=5) if not is_held_out(line, 0.2)]
    assert texts(prepared.train, prepared.tokenizer) == expected
    more, said = said_while_preparing(run, dataclasses.replace(options, merges=25))
    assert said[0] == "training a tokenizer with 25 merges"
    assert more.tokenizer.vocab_size == prepared.tokenizer.vocab_size + 5
    assert texts(more.train, more.tokenizer) == expected


def test_the_line_about_the_corpus(run, options):
    prepared, said = said_while_preparing(run, dataclasses.replace(options, val_fraction=0.0))
    characters = sum(map(len, conversations(60)))
    tokens = len(prepared.train.tokens)
    assert said[-1] == (
        f"corpus {options.data[0]}: 60 documents, {tokens:,} tokens; vocabulary 279, "
        f"{characters / (tokens - 120):.2f} characters per token; nothing held out"
    )


def test_a_resumed_run_never_trains_another_tokenizer(run, options):
    prepared, _ = said_while_preparing(run, options)
    path = run.path / "tokenizer.meta.json"
    path.unlink()  # by which a fresh run would know it
    again, said = said_while_preparing(run, options, prepared.tokenizer.hash)
    assert again.tokenizer.hash == prepared.tokenizer.hash and len(said) == 1
    before = run.tokenizer.read_bytes()
    with pytest.raises(UserError, match="is not the tokenizer that the checkpoint was trained"):
        said_while_preparing(run, options, "0" * 32)
    assert run.tokenizer.read_bytes() == before
    run.tokenizer.unlink()
    with pytest.raises(UserError, match=r"tokenizer\.json"):
        said_while_preparing(run, options, prepared.tokenizer.hash)
    assert not run.tokenizer.exists()


def test_a_resumed_run_of_before_goes_on_with_its_own_tokenizer(run, options):
    old = without_normaliser(train_tokenizer(conversations(60), 20))
    old.save(run.tokenizer)
    remember_origin(run.tokenizer_origin, {"recipe": 1}, old)
    prepared, said = said_while_preparing(run, options, old.hash)
    assert not prepared.tokenizer.normalises and prepared.tokenizer.hash == old.hash
    assert run.tokenizer.read_text() == old._json and len(said) == 1


def test_a_run_of_somebody_elses_weights_reads_text_as_they_do(run, options):
    old = without_normaliser(train_tokenizer(conversations(60), 20))
    options.data[0].write_text("<|user|> it\u2019s <|assistant|> e\u0301\n" * 9)
    prepared = prepare(run, options, [].append, tokenizer_hash=None, given_tokenizer=old)
    read = old.decode(prepared.train.tokens.tolist())
    assert "it\u2019s" in read and "e\u0301" in read
    assert run.tokenizer.read_text() == old._json


def test_a_tokenised_corpus_is_told_and_stays(run, options):
    lines = [line.replace(".", " .").replace(",", " ,") for line in SPACED * 20]
    options.data[0].write_text("\n".join(lines))
    for _ in range(2):
        sources = survey(options, run)
        remember(run, options, sources)
        (note,) = sources.notes
        assert "60 of the 60 documents" in note and "python -m vidya.data text" in note
    assert set(sources.train.documents()) <= set(lines)


# ---------------------------------------------------------------- refusals


def refusal(options):
    with pytest.raises(UserError) as error:
        survey(options)
    return str(error.value)


def test_the_empty_one_of_several_files_is_named(options, tmp_path):
    (tmp_path / "empty.txt").write_text("\n")
    only = dataclasses.replace(options, data=(tmp_path / "empty.txt",))
    assert refusal(only).startswith(f"{tmp_path / 'empty.txt'} holds no document")


def test_everything_held_out(options):
    message = refusal(dataclasses.replace(options, val_fraction=1 - 1e-12))
    assert message.startswith(f"every document of {options.data[0]} is held out: lower")


@pytest.mark.parametrize("lines", [1, 3, 60])
def test_a_corpus_too_small_to_be_split_trains_whole(run, options, lines):
    """Whichever side the hash of its documents would have put it on."""
    some = conversations(60, seed=5)
    chosen = dataclasses.replace(options, val_fraction=0.02 if lines == 1 else 1e-9)
    if lines == 1:
        some = [next(f"{n}" for n in range(999) if is_held_out(f"{n}", 0.02))]
    options.data[0].write_text("\n".join(some[:lines]))
    prepared, said = said_while_preparing(run, chosen)
    assert prepared.held_out is None and prepared.train.documents == lines
    documents = "1 document" if lines == 1 else f"{lines} documents"
    assert said[-1].startswith(f"{options.data[0]} has {documents}, too few to hold ")
    assert "nothing held out" in said[-2]


def test_text_whose_held_out_part_is_elsewhere_is_not_called_too_small(run, options):
    """As `data combine --val-out` leaves it: both choose by the same hash."""
    some = [one for one in conversations(700) if not is_held_out(one, 0.02)]
    options.data[0].write_text("\n".join(some))
    _, said = said_while_preparing(run, dataclasses.replace(options, val_fraction=0.02))
    assert said[-1] == (
        f"of {len(some)} documents in {options.data[0]} not one falls into the held-out 0.02, as "
        "where they were held out before: nothing is held out and measured; give --val FILE"
    )


def test_documents_that_chat_would_not_ask_for_are_told(run, options):
    odd = ["<|user|>hi<|assistant|>hello", "<|user|> hi", "<|assistant|> hello"]
    options.data[0].write_text("\n".join([*conversations(60), *odd]))
    for _ in range(2):  # the second time what was found is remembered
        sources = survey(options, run)
        remember(run, options, sources)
        (note,) = sources.notes
        assert "63 documents" in note and "2 one turn alone, 1 no spaces around markers" in note
        assert "python -m vidya.data chat" in note


def test_a_held_out_file_that_is_missing_or_empty(options, tmp_path):
    missing = dataclasses.replace(options, val=tmp_path / "none.txt")
    assert "none.txt: there is no such file" in refusal(missing)
    (tmp_path / "none.txt").write_text(" \n")
    assert "none.txt holds no document to evaluate on" in refusal(missing)


def test_a_survey_writes_nothing(options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(Path(tmp_path).rglob("*"))
    sources = survey(options)
    assert sources.train.summary.documents + sources.held_out.summary.documents == 60
    assert sorted(Path(tmp_path).rglob("*")) == before


def test_a_survey_is_not_made_twice(run, options, monkeypatch):
    sources = survey(options)
    monkeypatch.setattr(run_corpora, "survey", lambda _: pytest.fail("a second survey"))
    prepared = prepare(run, options, lambda _: None, tokenizer_hash=None, sources=sources)
    assert prepared.corpus_hash == sources.train.summary.hash


def test_text_that_is_held_out_and_trained_on_is_told(run, options, tmp_path):
    """Also by a link or a copy, and again when the files are known already."""
    (tmp_path / "link.txt").symlink_to(options.data[0])
    same = dataclasses.replace(options, val=tmp_path / "link.txt")
    sources = survey(same)
    assert sources.shared.shared == sources.shared.of == sources.held_out.summary.documents
    val = tmp_path / "val.txt"
    val.write_text(options.data[0].read_text().splitlines()[0] + "\nsomething new\n")
    part = dataclasses.replace(options, val=val)
    _, said = said_while_preparing(run, part)
    told = [line for line in said if "as well" in line]
    assert len(told) == 1 and told[0].startswith(f"--val {val}: 1 of its 2 documents (50.0%) are")
    assert not any("as well" in line for line in said_while_preparing(run, options)[1])


def test_a_file_that_is_given_twice_is_told(run, options):
    twice = dataclasses.replace(options, data=options.data * 2)
    said = said_while_preparing(run, twice)[1]
    told = f"--data {options.data[0]} is the same file as one before it: its documents count twice"
    assert told in said


def test_a_tokenizer_that_is_there_already(run, options, tmp_path):
    first = said_while_preparing(run, options)[0].tokenizer
    run.tokenizer.rename(tmp_path / "t.json")
    given = dataclasses.replace(options, tokenizer=tmp_path / "t.json", merges=None)
    again, said = said_while_preparing(run, given)
    assert again.tokenizer.hash == first.hash and run.tokenizer.exists()
    assert not any("training a tokenizer" in line for line in said)
    assert named_tokenizer(run.path).hash == first.hash  # a run folder has one


def test_a_tokenizer_that_somebody_put_there_is_kept(run, options):
    first = said_while_preparing(run, options)[0].tokenizer
    assert not any("kept as" in line for line in said_while_preparing(run, options)[1])
    run.tokenizer_origin.unlink()
    before = run.tokenizer.read_bytes()
    again, said = said_while_preparing(run, dataclasses.replace(options, merges=9))
    kept = run.numbered(run.tokenizer, 1)
    assert kept.read_bytes() == before and again.tokenizer.hash != first.hash
    assert [line for line in said if "kept as" in line] == [
        f"{run.tokenizer} was not made by a training there: it is kept as tokenizer.1.json; "
        f"--tokenizer {kept} begins a run with it"
    ]


def test_an_empty_file_among_others_is_told(tmp_path, capsys):
    full, empty = tmp_path / "full.txt", tmp_path / "empty.txt"
    full.write_text("a\nb\n")
    empty.write_text("\n")
    both = run_corpora._all_documents(TrainOptions(data=(full, empty)))
    assert list(both()) == ["a", "b"]
    assert capsys.readouterr().err == f"{empty} holds no document\n"
