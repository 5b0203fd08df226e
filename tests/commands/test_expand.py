"""`python -m vidya.expand`: what it writes, says and refuses."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.commands import run_command_process
from support.training_runs import TINY, lines_of, snapshot, train, write_corpus

from vidya import expand as expand_command
from vidya.errors import UserError
from vidya.model import growth
from vidya.storage import checkpoint
from vidya.storage.checkpoint_format import read_digest
from vidya.storage.pretrained import load_pretrained
from vidya.text.held_out_split import is_held_out
from vidya.text.tokenizer import Tokenizer
from vidya.text.tokenizer_training import train_tokenizer
from vidya.text.vocabulary_match import spell

BIG = "microgpt_chat_25m_v5.bin"
BIGGER = {"n_embd": 64, "n_layer": 3, "n_head": 2, "context": 48}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with small.txt and a finished run of 60 steps in `run`."""
    folder = tmp_path_factory.mktemp("home")
    write_corpus(folder)
    train(*TINY, "--lr", 0.01, "--data", "small.txt", "--out", "run", "--steps", 60, cwd=folder)
    return folder


@pytest.fixture
def work(home, tmp_path, monkeypatch):
    """A copy of `home` that a test may change, and works in."""
    shutil.copytree(home, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def expand(path="run", **options):
    """The command's work, its paths as the command line gives them."""
    paths = {name: Path(options[name]) for name in ("out", "val", "tokenizer") if name in options}
    given = expand_command.ExpandOptions(**{**BIGGER, "threads": 1, **options, **paths})
    return expand_command.expand(Path(path), given)


def losses(text):
    """Every loss that the command printed, by its label and window."""
    found = re.findall(
        r"(before|after)  ? *loss ([\d.]+), ([\d.]+) bits.*windows of ([\d,]+)", text
    )
    return {(label, int(window)): (float(loss), float(bpb)) for label, loss, bpb, window in found}


def as_in_fp32(loss, run):
    """A loss that `run` wrote, to compare with those that the command measures, in fp32.

    bf16 keeps eight bits of what is multiplied: the losses of a run in it are 1e-4 off.
    """
    bf16 = lines_of(run)[0]["precision"] == "bf16"
    return pytest.approx(loss, rel=1e-3 if bf16 else 1e-5)


# ---------------------------------------------------------------- what it makes


def test_the_bigger_model_has_the_loss_of_the_small_one(work, capsys):
    assert expand() == 0
    said = capsys.readouterr().out
    found = losses(said)
    assert found["after", 32] == pytest.approx(found["before", 32], rel=1e-5)
    assert ("after", 48) in found and ("before", 48) not in found
    last = [line for line in lines_of("run") if "val_loss" in line][-1]
    assert found["before", 32][0] == as_in_fp32(last["val_loss"], "run")
    assert said.count("bits per byte in fp32 (") == len(found) == 3
    assert last["val_loss"] < 4  # it is a trained one, for which chance would not do
    small, big = load_pretrained("run"), load_pretrained("runs/25m_expanded")
    assert (
        f"{small.model.config.parameter_count():,} → {big.model.config.parameter_count():,}" in said
    )
    assert "32 → 64 wide, 1 → 3 layers, 1 → 2 heads, context 32 → 48" in said
    assert f"all {small.tokenizer.vocab_size:,} rows carried over" in said


def test_what_is_written_says_where_it_comes_from(work):
    expand(seed=3, out="big")
    assert sorted(os.listdir("big")) == [".lock", BIG, "tokenizer.json"]
    big = load_pretrained("big")
    small_path = str(load_pretrained("run").checkpoint_path)
    assert big.tokenizer.hash == Tokenizer.load("run/tokenizer.json").hash
    assert {name: big.meta[name] for name in ("kind", "preset", "step", "seed")} == {
        "kind": "expanded", "preset": "25m", "step": 0, "seed": 3,
    }  # fmt: skip
    origin = big.meta["expanded_from"]
    assert origin["path"] == small_path
    assert origin["digest"] == read_digest(small_path)
    assert (origin["preset"], origin["step"]) == ("10m", 60)
    assert (origin["config"]["n_embd"], big.meta["config"]["n_embd"]) == (32, 64)


def test_the_same_seed_writes_the_same_file(work):
    for out, seed in (("one", 1), ("two", 1), ("three", 2)):
        expand(out=out, seed=seed)
    one, two, three = (read_digest(f"{out}/{BIG}") for out in ("one", "two", "three"))
    assert one == two != three


@pytest.mark.parametrize("kind", ["the run's training checkpoint", "context alone", "no val cache"])
def test_other_ways_to_ask(work, capsys, kind):
    if kind == "the run's training checkpoint":
        assert expand("run/microgpt_chat_10m_v5_54.bin", out="big") == 0
        assert "adam_m" not in checkpoint.load(f"big/{BIG}")[0]
    elif kind == "context alone":
        assert expand(n_embd=32, n_layer=1, n_head=1, context=33, out="big") == 0
        small, big = load_pretrained("run").model, load_pretrained("big").model
        np.testing.assert_array_equal(small.flat, big.flat)
    else:
        os.unlink("run/val.tokens")
        assert expand(out="big") == 0
        assert "give --val FILE" in capsys.readouterr().out


def test_held_out_text_can_be_named(work, capsys):
    expand(out="cached")
    cached = capsys.readouterr().out
    with open("val.txt", "w") as file:
        documents = Path("small.txt").read_text().splitlines()
        file.writelines(text + "\n" for text in documents if is_held_out(text, 0.1))
    os.unlink("run/val.tokens")
    expand(out="named", val="val.txt")
    assert losses(capsys.readouterr().out) == losses(cached)


def test_a_sample_of_the_held_out_text(work, capsys):
    expand(eval_tokens=40)
    counts = {int(n) for n in re.findall(r"\(([\d,]+) tokens in", capsys.readouterr().out)}
    assert len(counts) == 1 and 1 <= counts.pop() <= 40


# ---------------------------------------------------------------- another tokenizer


def test_rows_are_carried_over_by_the_text_of_their_token(work, capsys):
    other = train_tokenizer(open("small.txt").read().split("\n"), 60)
    other.save("other.json")
    assert expand(tokenizer="other.json", out="big") == 0
    said = capsys.readouterr().out
    small, big = load_pretrained("run"), load_pretrained("big")
    old, new = small.tokenizer, big.tokenizer
    assert new.hash == other.hash and new.vocab_size > old.vocab_size
    old_rows, new_rows = small.model.parameters["wte"], big.model.parameters["wte"]
    scale = np.float32(np.sqrt(2))
    texts = {old.decode_bytes([i]): i for i in range(old.vocab_size)}
    carried = [i for i in range(new.vocab_size) if new.decode_bytes([i]) in texts]
    for i in carried:
        expected = old_rows[texts[new.decode_bytes([i])]] * scale
        np.testing.assert_allclose(new_rows[i, :32], expected, rtol=1e-6)
    assert (new_rows[:, 32:] == 0).all()
    assert (np.abs(new_rows[:, :32]).max(1) > 0).all()
    composed = new.vocab_size - len(carried)
    assert composed > 0
    assert f"{len(carried):,} of {new.vocab_size:,} rows carried over" in said
    assert f"{composed:,} composed" in said
    found = losses(said)
    # new words cost something at first, or nothing where the old ones were hardly learned
    assert found["after", 32][1] < 1.2 * found["before", 32][1]


def test_a_smaller_tokenizer_leaves_rows_behind(work, capsys):
    train_tokenizer(open("small.txt").read().split("\n"), 5).save("other.json")
    expand(tokenizer="other.json", out="big")
    carried, size, left = re.search(
        r"(\d+) of (\d+) rows carried over .* (\d+) old rows", capsys.readouterr().out
    ).groups()
    assert int(size) == 264 and int(carried) >= 260
    assert int(left) == load_pretrained("run").tokenizer.vocab_size - int(carried)


def test_every_token_is_spelled_by_tokens_of_the_same_bytes():
    texts = ["naïve café 日本語 🙂🙂 the cat the cat"] * 9
    old, new = train_tokenizer(texts, 3), train_tokenizer(texts, 40)
    spelling = spell(old, new)
    assert len(spelling.pieces) == new.vocab_size
    for token, pieces in enumerate(spelling.pieces):
        assert old.decode_bytes(pieces) == new.decode_bytes([token])
        assert token not in new.special_ids or pieces == [token]
    assert spelling.carried == 259 + 3
    assert spelling.composed == new.vocab_size - 262 > 0
    assert spelling.left_behind == 0
    assert spell(new, new).composed == 0


# ---------------------------------------------------------------- what it refuses


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"n_embd": 16, "n_head": 1}, "n_embd is 32 and cannot become 16"),
        ({"n_embd": 64, "n_head": 1}, "are 32 (32/1) and cannot become 64 (64/1)"),
        ({"n_embd": 32, "n_layer": 1, "n_head": 1, "context": 32}, "has this size already"),
        ({"preset": "huge"}, "unknown preset 'huge'"),
        ({"tokenizer": "none.json"}, "cannot read the tokenizer none.json"),
        ({"val": "none.txt"}, "cannot read none.txt"),
        ({"eval_tokens": 0}, "--eval-tokens must be at least 1"),
        ({"seed": -1}, "--seed must be in"),
        ({"out": "run"}, "run is not empty: choose another --out"),
        ({"out": "small.txt"}, "small.txt is not a folder"),
        ({"threads": 0}, "--threads must be"),
    ],
)
def test_refusals_write_nothing(work, options, says):
    before = snapshot(work)
    with pytest.raises(UserError) as caught:
        expand(**options)
    assert says in str(caught.value) and "\n" not in str(caught.value)
    assert snapshot(work) == before


def test_a_second_time_is_refused(work):
    expand(out="big")
    before = snapshot(work)
    with pytest.raises(UserError, match="not empty"):
        expand(out="big")
    assert snapshot(work) == before


def test_a_growth_that_changes_the_function_is_caught_before_it_is_written(work, monkeypatch):
    right = growth._Widening.gain
    monkeypatch.setattr(growth._Widening, "gain", lambda self, values, _: right(self, values, 0))
    with pytest.raises(UserError, match="by more than 1%: nothing was written"):
        expand()
    assert not (work / "runs").exists()


def test_the_command_ends_in_a_model_that_can_be_talked_to_and_trained(work):
    def call(module, *arguments):
        done = run_command_process(module, *arguments, cwd=work)
        assert done.returncode == 0, done.stderr
        return done.stdout

    sizes = [f"--{name.replace('_', '-')}={value}" for name, value in BIGGER.items()]
    said = call("expand", "run", *sizes, "--out", "big", "--threads", 1)
    next_command = re.search(r"train on: +python -m vidya\.train (.*)", said)[1].split()
    assert next_command == "--init big --out big_trained --data small.txt".split()
    call("chat", "big", "--prompt", "hello", "--temperature", 0)
    train(*next_command, "--steps", 2, "--threads", 1, "--val-fraction", 0.1, cwd=work)
    first, zero = lines_of("big_trained")[:2]
    assert first["init"] == {"path": f"big/{BIG}", "digest": read_digest(f"big/{BIG}")}
    assert losses(said)["after", 48][0] == as_in_fp32(zero["val_loss"], "big_trained")
    refused = run_command_process("expand", "run", *sizes, "--out", "big", cwd=work)
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
