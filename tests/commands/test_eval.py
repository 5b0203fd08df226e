"""The evaluation command: figures against the library's, models side by side, errors."""

import json
import math
import sys

import numpy as np
import pytest
from support.chat_runs import babbling_model, meta_of
from support.training_runs import conversations

from vidya import eval
from vidya.measuring.held_out_loss import held_out_loss
from vidya.measuring.held_out_text import HeldOutTextSource
from vidya.storage import checkpoint
from vidya.storage.pretrained import load_pretrained
from vidya.terminal import tables as terminal_tables
from vidya.terminal.command_frame import run_command
from vidya.text import token_cache
from vidya.text.corpus_summary import corpus_hash
from vidya.text.token_cache import TokenCache
from vidya.text.tokenizer_training import train_tokenizer

LINES = conversations(30, seed=4)
NAME = "microgpt_chat_nano_v5.bin"


def make_run(folder, merges, held_out=LINES):
    """A run folder with a random model, its tokenizer and its held-out text."""
    folder.mkdir()
    tokenizer = train_tokenizer(conversations(60, seed=8), merges)
    tokenizer.save(folder / "tokenizer.json")
    model = babbling_model(tokenizer)
    checkpoint.save(folder / NAME, model.parameters, meta_of(model, tokenizer))
    token_cache.build(folder / "val.tokens", held_out, tokenizer, corpus_hash(held_out))
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs whose tokenizers differ, on the same held-out text."""
    home = tmp_path_factory.mktemp("eval")
    return make_run(home / "few", 20), make_run(home / "many", 90)


@pytest.fixture
def command(monkeypatch, capsys):
    """Run the command in this process: (status, stdout, stderr)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["vidya eval", *map(str, arguments), "--threads", "1"])
        status = run_command(eval.main)
        out, err = capsys.readouterr()
        return status, out, err

    return run


def measured(command, *arguments):
    status, out, err = command(*arguments, "--json")
    assert status == 0, err
    return json.loads(out)["models"]


def refused(command, *arguments):
    status, out, err = command(*arguments)
    assert (status, out) == (2, "")
    last = err.splitlines()[-1]
    assert last.startswith("error: ") and err.count("\n") == 1 + err.count("measuring "), err
    return last


def test_the_runs_own_text(command, runs):
    (told,) = measured(command, runs[0], "--replies", 4, "--max-tokens", 8)
    pretrained = load_pretrained(runs[0])
    cache = TokenCache.open(runs[0] / "val.tokens")
    expected = held_out_loss(pretrained.model, pretrained.tokenizer, cache)
    assert told["tokens"] == expected.tokens and told["documents"] == len(LINES)
    assert told["loss"] == pytest.approx(expected.loss, rel=1e-6)
    assert told["bits_per_byte"] == pytest.approx(expected.bits_per_byte, rel=1e-6)
    assert told["perplexity"] == pytest.approx(math.exp(expected.loss), rel=1e-5)
    assert 0 <= told["accuracy"] <= 1 and told["tokens_per_s"] > 0
    assert told["step"] == 1200 and told["precision"] == "fp32"
    replies = told["replies"]
    assert replies["count"] == replies["cut_off"] == 4  # this model never ends a reply
    assert 0 < replies["distinct_1"] <= 1 and replies["tokens_per_s"] > 0


def test_side_by_side_on_the_same_documents(command, runs, tmp_path):
    """Each with its own tokenizer; the limit counts the first one's tokens."""
    path = tmp_path / "val.txt"
    path.write_text("".join(line + "\n" for line in LINES))
    of_runs = measured(command, *runs, "--tokens", 150, "--replies", 0)
    of_file = measured(command, *runs, "--tokens", 150, "--replies", 0, "--data", path)
    for few, many in (of_runs, of_file):
        assert few["documents"] == many["documents"] < len(LINES)
        assert few["text_bytes"] == many["text_bytes"]
        assert few["tokens"] > many["tokens"]
        assert few["tokens"] >= 150
        assert few["replies"] is many["replies"] is None
    for one, other in zip(of_runs, of_file, strict=True):
        assert {k: one[k] for k in ("loss", "tokens", "accuracy")} == {
            k: other[k] for k in ("loss", "tokens", "accuracy")
        }
        assert other["data"] == str(path)


def test_a_limit_takes_the_fewest_documents(runs):
    pretrained = load_pretrained(runs[0])
    lengths = np.diff(TokenCache.open(runs[0] / "val.tokens").offsets) - 1
    for limit in (1, int(lengths[0]), int(lengths[0]) + 1, int(lengths.sum()), 10**9):
        text = HeldOutTextSource(None, limit).of(pretrained)
        n = text.documents
        assert n == len(lengths) or lengths[:n].sum() >= limit
        assert lengths[: n - 1].sum() < limit
        assert text.predictions == lengths[:n].sum()
    assert HeldOutTextSource(None, 0).of(pretrained).documents == len(lengths)


def test_first_messages(runs, tmp_path):
    path = tmp_path / "val.txt"
    path.write_text("plain text\n<|user|> hé? <|assistant|> b <|user|> c <|assistant|> d\n"
                    "<|user|> no reply\n<|user|> two <|assistant|>\n")  # fmt: skip
    pretrained = load_pretrained(runs[0])
    text = HeldOutTextSource(path, 0).of(pretrained)
    assert text.first_messages(pretrained.tokenizer, 9) == ["hé?", "two"]
    assert text.first_messages(pretrained.tokenizer, 1) == ["hé?"]
    assert text.first_messages(pretrained.tokenizer, 0) == []


def test_all_precisions(command, runs):
    told = measured(command, runs[0], "--precision", "all", "--replies", 2, "--max-tokens", 4)
    assert [model["precision"] for model in told] == ["fp32", "bf16", "int8"]
    exact, *rounded = (model["loss"] for model in told)
    assert all(loss != exact and loss == pytest.approx(exact, rel=0.02) for loss in rounded)
    (alone,) = measured(command, runs[0], "--precision", "int8", "--replies", 0)
    assert alone["loss"] == told[2]["loss"]


def test_the_same_replies_every_time(command, runs):
    settings = runs[0], "--replies", 5, "--max-tokens", 12
    first, second, other = (
        measured(command, *settings, "--seed", seed)[0]["replies"] for seed in (1, 1, 2)
    )
    for replies in (first, second, other):
        del replies["tokens_per_s"]
    assert first == second != other


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_table_fits(command, runs, monkeypatch, columns):
    monkeypatch.setattr(terminal_tables, "terminal_width", lambda stream: columns)
    status, out, err = command(*runs, *runs, "--replies", 2, "--max-tokens", 4)
    assert status == 0
    assert all(line.startswith("measuring ") for line in err.splitlines())
    head, *tables = out.rstrip("\n").split("\n\n")
    assert [line.split(":")[0] for line in head.splitlines()] == ["1", "2", "3", "4", "unseen text", "unseen text"]  # fmt: skip  # noqa: E501
    assert all(len(line) <= columns for table in tables for line in table.splitlines())
    numbers = [number for table in tables for number in table.splitlines()[0].split()]
    assert numbers == ["1", "2", "3", "4"]
    assert len(tables) == 1 or columns == 40
    told = measured(command, runs[0], "--replies", 0)[0]
    figures = f"{told['bits_per_byte']:.4f}", f"{told['accuracy']:.1%}"
    assert all(figure in tables[0] for figure in figures)
    if columns > 40:  # else the labels take several lines
        rows = {line.split("  ")[0]: line for line in tables[0].splitlines()}
        assert figures[0] in rows["bits per byte, lower is better"]
        assert figures[1] in rows["next token right, higher"]


def test_text_without_conversations(command, runs, tmp_path):
    path = tmp_path / "book.txt"
    path.write_text("it was a dark night\nand it rained\n")
    told = measured(command, runs[0], "--data", path)[0]
    assert told["replies"] is None
    status, out, _ = command(runs[0], "--data", path)
    assert f"at {told['bits_per_byte']:.2f} bits per byte a model" in " ".join(out.split())
    assert status == 0 and any(
        "distinct-1" in line and line.endswith(" -") for line in out.splitlines()
    )


def test_different_texts_are_told(command, runs, tmp_path):
    other = make_run(tmp_path / "other", 20, held_out=conversations(5, seed=99))
    status, out, err = command(runs[0], other, "--replies", 0)
    assert status == 0
    assert err.splitlines()[-1].startswith("warning: the models were measured on different texts")
    assert out.count("unseen text: ") == 2
    assert "warning" not in command(*runs, "--replies", 0)[2]


def test_nothing_is_written(command, runs, tmp_path):
    before = {path: path.read_bytes() for path in runs[0].iterdir()}
    command(runs[0], "--replies", 2, "--max-tokens", 4)
    assert {path: path.read_bytes() for path in runs[0].iterdir()} == before


# ---- errors ----------------------------------------------------------------------------


def test_no_such_model(command, runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "no trained model in runs/" in refused(command)
    assert "there is no none.bin" in refused(command, "none.bin")
    # told before the first is measured
    assert "there is no none.bin" in refused(command, runs[0], "none.bin")


def test_no_data(command, runs, tmp_path):
    empty = tmp_path / "empty.txt"
    empty.write_text("\n\n")
    assert "holds no document" in refused(command, runs[0], "--data", empty)
    assert "cannot read" in refused(command, runs[0], "--data", tmp_path / "none.txt")
    assert "is a folder" in refused(command, runs[0], "--data", tmp_path)
    latin = tmp_path / "latin.txt"
    latin.write_bytes(b"caf\xe9\n")
    assert "not UTF-8" in refused(command, runs[0], "--data", latin)


def copied(run, folder):
    folder.mkdir()
    for path in run.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_the_runs_text_is_missing_or_no_good(command, runs, tmp_path):
    run = copied(runs[0], tmp_path / "run")
    (run / "val.tokens").write_bytes((runs[1] / "val.tokens").read_bytes())
    assert "made with another tokenizer" in refused(command, run)
    (run / "val.tokens").write_bytes(b"nonsense")
    assert "cannot use the token cache" in refused(command, run)
    (run / "val.tokens").unlink()
    assert "no held-out text beside" in refused(command, run)


def test_another_tokenizer(command, runs, tmp_path):
    run = copied(runs[0], tmp_path / "run")
    (run / "tokenizer.json").write_bytes((runs[1] / "tokenizer.json").read_bytes())
    assert "vocabulary of" in refused(command, run)
    (run / "tokenizer.json").unlink()
    assert "no tokenizer.json beside" in refused(command, run)


def test_weights_that_are_no_good(command, runs, tmp_path):
    run = copied(runs[0], tmp_path / "run")
    pretrained = load_pretrained(run)
    pretrained.model.flat[:] = np.nan
    checkpoint.save(run / NAME, pretrained.model.parameters, pretrained.meta)
    assert "not a number" in refused(command, run)


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        (["--tokens", -1], "--tokens must be at least 0, not -1"),
        (["--replies", -1], "--replies must be at least 0, not -1"),
        (["--max-tokens", 0], "--max-tokens must be at least 1, not 0"),
        (["--temperature", -1], "temperature must be 0 or more"),
        (["--precision", "fp8"], "fp8"),
    ],
)
def test_what_cannot_be(command, runs, arguments, saying):
    assert saying in refused(command, runs[0], *arguments)
