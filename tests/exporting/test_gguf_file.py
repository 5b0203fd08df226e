"""A GGUF file: names, numbers, what it says of text, and what is found when it is wrong."""

import numpy as np
import pytest

from vidya.errors import UserError
from vidya.exporting import gguf_file
from vidya.exporting.exporter import export
from vidya.exporting.gguf_exporter import GgufExporter, text_of, weights_of
from vidya.exporting.gguf_file import gguf_name, read_gguf, write_gguf


def test_every_tensor_has_a_name_of_llama_cpp(pretrained):
    names = {gguf_name(name) for name in weights_of(pretrained).tensors}
    assert len(names) == len(weights_of(pretrained).tensors) == 3 + 1 + 2 * 16
    assert {"token_embd.weight", "output.weight", "output_norm.bias"} < names
    assert {"blk.1.attn_q.bias", "blk.0.ffn_down.weight"} < names


def test_without_the_package_it_is_one_line(pretrained, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "gguf", None)
    with pytest.raises(UserError, match="needs a package: python -m pip install gguf"):
        export(pretrained, "gguf", "f16", tmp_path / "out.gguf", allow_other_ids=True)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(autouse=True)
def without_llama_cpp(monkeypatch):
    """Only the tests that are for it start it (test_llama_cpp.py)."""
    monkeypatch.setattr("vidya.exporting.llama_cpp.version", lambda: None)


@pytest.fixture
def gguf():
    return pytest.importorskip("gguf", reason="gguf is not installed")


@pytest.mark.extras
@pytest.mark.parametrize("precision", ["fp32", "bf16", "f16", "q8_0"])
def test_what_was_written_is_read_again_and_told(pretrained, tmp_path, gguf, precision):
    out = tmp_path / "out.gguf"
    lines, steps = export(pretrained, "gguf", precision, out, allow_other_ids=True)
    assert "with plain NumPy: 94 tokens" in lines[0] and "lines, " in lines[2]
    assert lines[1] == "not tried   with llama.cpp: pip install xllamacpp"
    assert steps[0] == ("talk to it", f"llama-cli -m {out}")
    content = read_gguf(out)
    assert content.fields["general.architecture"] == "starcoder2"
    assert content.fields["tokenizer.ggml.pre"] == "superbpe"
    assert content.fields["starcoder2.context_length"] == 48
    assert content.fields["tokenizer.ggml.eot_token_id"] == pretrained.tokenizer.user_id
    assert content.fields["general.sampling.temp"] == np.float32(0.7)
    kinds = {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(out).tensors}
    # rows of 48 are no whole blocks of 32
    assert kinds["output.weight"] == {"fp32": "F32", "bf16": "BF16"}.get(precision, "F16")
    assert kinds["blk.0.ffn_down.weight"] == gguf_file._KINDS[precision][0]
    assert kinds["output_norm.weight"] == "F32"


@pytest.mark.extras
@pytest.mark.parametrize("wrong", ["weights", "tokenizer"])
def test_what_is_wrong_is_found_and_nothing_is_left(pretrained, tmp_path, gguf, monkeypatch, wrong):
    def write(self, model, place, precision):
        weights, text = weights_of(model), text_of(model)
        if wrong == "weights":
            q, k = (f"model.layers.0.self_attn.{one}_proj.weight" for one in "qk")
            weights.tensors[q], weights.tensors[k] = weights.tensors[k], weights.tensors[q]
        else:
            text.vocabulary.tokens.reverse()
        write_gguf(place, "wrong", weights, text, 48, 2, precision)

    monkeypatch.setattr(GgufExporter, "write", write)
    says = {"weights": "computes something else", "tokenizer": "tokenizer is not the model's"}
    with pytest.raises(UserError, match=says[wrong]):
        export(pretrained, "gguf", "fp32", tmp_path / "out.gguf")
    assert list(tmp_path.iterdir()) == []


def test_too_many_other_ids_are_refused_before_anything_is_written(
    pretrained, tmp_path, monkeypatch
):
    monkeypatch.setattr("vidya.exporting.gguf_exporter.gguf_package", lambda: None)
    monkeypatch.setattr("vidya.exporting.gguf_tokenizer._CUTS", ("e", "o"))
    with pytest.raises(UserError, match="--allow-other-ids writes it all the same"):
        export(pretrained, "gguf", "f16", tmp_path / "out.gguf")
    assert list(tmp_path.iterdir()) == []
