"""The bigger model: its weights and its embedding, and what its file says of where it is from."""

import os
import re

import numpy as np
import pytest
from support.growing_runs import BIG, expand, losses

from vidya.storage import checkpoint
from vidya.storage.checkpoint_format import read_digest
from vidya.storage.pretrained import load_pretrained
from vidya.text.tokenizer import Tokenizer
from vidya.text.tokenizer_training import train_tokenizer

pytestmark = pytest.mark.auto_precision


def test_what_is_written_says_where_it_comes_from(growing_work):
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


def test_the_same_seed_writes_the_same_file(growing_work):
    for out, seed in (("one", 1), ("two", 1), ("three", 2)):
        expand(out=out, seed=seed)
    one, two, three = (read_digest(f"{out}/{BIG}") for out in ("one", "two", "three"))
    assert one == two != three


@pytest.mark.parametrize("kind", ["the run's training checkpoint", "context alone", "no val cache"])
def test_other_ways_to_ask(growing_work, capsys, kind):
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


def test_rows_are_carried_over_by_the_text_of_their_token(growing_work, capsys):
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


def test_a_smaller_tokenizer_leaves_rows_behind(growing_work, capsys):
    train_tokenizer(open("small.txt").read().split("\n"), 5).save("other.json")
    expand(tokenizer="other.json", out="big")
    carried, size, left = re.search(
        r"(\d+) of (\d+) rows carried over .* (\d+) old rows", capsys.readouterr().out
    ).groups()
    assert int(size) == 264 and int(carried) >= 260
    assert int(left) == load_pretrained("run").tokenizer.vocab_size - int(carried)
