"""The held-out text that a bigger model is checked on, and what the check says of one."""

import dataclasses

import numpy as np
import pytest
from support.chat_runs import babbling_model, small_tokenizer

from vidya.errors import UserError
from vidya.growing.bigger_model import make_bigger
from vidya.growing.function_check import check_function, held_out_documents
from vidya.storage.pretrained import Pretrained

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
