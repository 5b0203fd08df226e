"""The held-out text that a bigger model is checked on, and what the check says of one."""

import dataclasses
import os
import re
from pathlib import Path

import numpy as np
import pytest
from support.chat_runs import babbling_model, small_tokenizer
from support.growing_runs import as_in_fp32, expand, losses
from support.small_tokenizer import without_normaliser
from support.training_runs import lines_of

from vidya.errors import UserError
from vidya.growing.bigger_model import make_bigger
from vidya.growing.function_check import check_function, held_out_documents
from vidya.model import growth
from vidya.storage.pretrained import Pretrained, load_pretrained
from vidya.text.held_out_split import is_held_out

pytestmark = pytest.mark.auto_precision

TEXTS = ["hello there how are you", "i am fine", "and you", "thank you"]


@pytest.fixture
def small(tmp_path):
    tokenizer = small_tokenizer()
    return Pretrained(babbling_model(tokenizer), tokenizer, {}, tmp_path / "model.bin")


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "val.txt"
    path.write_text("".join(f"{text}\n" for text in TEXTS))
    return path


def test_as_many_documents_as_fit_and_one_at_least(small, corpus):
    lengths = [len(small.tokenizer.encode_document(text)) - 1 for text in TEXTS]
    for most in (1, lengths[0], lengths[0] + 1, sum(lengths[:2]), sum(lengths) - 1, 10**6):
        count = max(1, sum(total <= most for total in np.cumsum(lengths)))
        assert held_out_documents(small, corpus, most).documents == count


def test_no_text_beside_the_model_is_no_error_but_a_missing_file_is(small, tmp_path):
    assert held_out_documents(small, None, 100) is None
    with pytest.raises(UserError, match="cannot read"):
        held_out_documents(small, tmp_path / "none.txt", 100)


def test_a_bigger_model_passes_and_a_spoilt_one_does_not(small, corpus):
    config = dataclasses.replace(small.model.config, n_embd=64, n_head=4, n_layer=3)
    bigger = make_bigger(small, small.tokenizer, config, 0)
    assert "32 → 64 wide, 2 → 3 layers" in bigger.changes()[0]
    held_out = held_out_documents(small, corpus, 100)
    before, after = (line.split("loss ")[1] for line in check_function(bigger, held_out))
    assert float(before.split(",")[0]) == pytest.approx(float(after.split(",")[0]), rel=1e-5)
    bigger.model.parameters["final_norm"][:] *= 3
    with pytest.raises(UserError, match="by more than 1%: nothing was written"):
        list(check_function(bigger, held_out))


def test_a_model_whose_tokenizer_does_not_normalise_is_the_same_in_one_that_does(small, corpus):
    new = small.tokenizer
    small = dataclasses.replace(small, tokenizer=without_normaliser(new))
    bigger = make_bigger(small, new, small.model.config, 0)
    assert (bigger.model.flat == small.model.flat).all()
    corpus.write_text("hello\u00a0there\n" * 3)
    held_out = held_out_documents(small, corpus, 100)
    assert len(list(check_function(bigger, held_out))) == 2
    with pytest.raises(UserError):
        make_bigger(small, small.tokenizer, small.model.config, 0)  # nothing would be bigger


def test_the_bigger_model_has_the_loss_of_the_small_one(growing_work, capsys):
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


def test_held_out_text_can_be_named(growing_work, capsys):
    expand(out="cached")
    cached = capsys.readouterr().out
    with open("val.txt", "w") as file:
        documents = Path("small.txt").read_text().splitlines()
        file.writelines(text + "\n" for text in documents if is_held_out(text, 0.1))
    os.unlink("run/val.tokens")
    expand(out="named", val="val.txt")
    assert losses(capsys.readouterr().out) == losses(cached)


def test_a_sample_of_the_held_out_text(growing_work, capsys):
    expand(eval_tokens=40)
    counts = {int(n) for n in re.findall(r"\(([\d,]+) tokens in", capsys.readouterr().out)}
    assert len(counts) == 1 and 1 <= counts.pop() <= 40


def test_a_growth_that_changes_the_function_is_caught_before_it_is_written(
    growing_work, monkeypatch
):
    right = growth._Widening.gain
    monkeypatch.setattr(growth._Widening, "gain", lambda self, values, _: right(self, values, 0))
    with pytest.raises(UserError, match="by more than 1%: nothing was written"):
        expand()
    assert not (growing_work / "runs").exists()


def test_a_stacked_model_computes_something_else_and_says_so(growing_work, capsys):
    assert expand(new_blocks="stacked", out="big") == 0
    found = losses(capsys.readouterr().out)
    assert found["after", 32][0] != pytest.approx(found["before", 32][0], rel=1e-4)
    big = load_pretrained("big")
    assert big.meta["new_blocks"] == "stacked"
    of = big.model.parameters
    for role in ("attn_out", "ffn_down"):  # the others have new columns, which are random
        np.testing.assert_array_equal(of[f"layers.0.{role}"], of[f"layers.2.{role}"])
        assert of[f"layers.2.{role}"].any()


def test_a_stacked_model_of_the_same_depth_is_checked_as_ever(small):
    config = dataclasses.replace(small.model.config, context=small.model.config.context + 1)
    same = make_bigger(small, small.tokenizer, config, 0, "stacked")
    assert same.same_function
    deep = dataclasses.replace(config, n_layer=config.n_layer + 1)
    assert not make_bigger(small, small.tokenizer, deep, 0, "stacked").same_function
    assert make_bigger(small, small.tokenizer, deep, 0).same_function
