"""A folder as a Starcoder2: what stands in it, how it is checked, and that it loads there."""

import json

import pytest

from vidya.errors import UserError
from vidya.exporting import hugging_face_check
from vidya.exporting.exporter import export
from vidya.exporting.starcoder2_folder import Starcoder2Exporter
from vidya.storage.pretrained import load_pretrained


@pytest.fixture
def without_transformers(monkeypatch):
    """Loading `transformers` takes seconds."""
    monkeypatch.setattr(hugging_face_check, "_LIBRARIES", ("no_such_library",))


@pytest.mark.parametrize("precision", ["fp32", "bf16", "f16"])
def test_what_was_written_is_checked_and_told(
    pretrained, tmp_path, precision, without_transformers
):
    lines, steps = export(pretrained, "hf-starcoder2", precision, tmp_path / "out")
    assert "with plain NumPy: 94 tokens" in lines[0] and "all ids equal" in lines[1]
    assert [label for label, _ in steps] == ["in Python"]
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["hidden_size"], config["num_attention_heads"]) == (48, 3)
    assert "as Starcoder2" in (tmp_path / "out" / "README.md").read_text()


def test_wrong_weights_are_found_and_nothing_is_left(
    pretrained, tmp_path, written_wrong, without_transformers
):
    written_wrong(Starcoder2Exporter)
    with pytest.raises(UserError, match="what was written computes something else"):
        export(pretrained, "hf-starcoder2", "fp32", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_vidya_says_that_it_cannot_read_it_again(pretrained, tmp_path):
    Starcoder2Exporter().write(pretrained, tmp_path / "out", "fp32")
    with pytest.raises(UserError, match=r"for other programs alone: .*\(microgpt_chat_nano"):
        load_pretrained(tmp_path / "out")


@pytest.mark.extras
def test_transformers_loads_it_and_computes_the_same(pretrained, tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    lines, _ = export(pretrained, "hf-starcoder2", "fp32", tmp_path / "out")
    assert "with transformers" in lines[2] and "all ids equal" in lines[3]
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert type(model).__name__ == "Starcoder2ForCausalLM"
