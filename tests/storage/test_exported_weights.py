"""Exported weights: the names of another program, folded and split, and back to the same bits."""

import json

import numpy as np
import pytest
from support.models import draw_model

from vidya.errors import UserError
from vidya.model.config import ModelConfig
from vidya.storage import checkpoint
from vidya.storage.checkpoint_format import EXPORTED, CheckpointFile
from vidya.storage.exported_weights import GAINS, as_float32, exported, imported, in_format

CONFIG = ModelConfig(n_embd=16, n_layer=2, n_head=2, context=8, vocab_size=30, dropout=0.0)


@pytest.fixture
def model():
    return draw_model(CONFIG, np.float32, 3, 8)


@pytest.fixture
def written(model, tmp_path):
    """Writes the weights in some precision; the path."""

    def write(precision):
        path = tmp_path / f"{precision}.safetensors"
        meta = {GAINS: model.parameters["embed_norm"].tolist()}
        tensors = in_format(exported(model.parameters), precision)
        checkpoint.save(path, tensors, meta, version=EXPORTED)
        return path

    return write


def test_fp32_comes_back_to_the_same_bits(model, written):
    tensors, meta = checkpoint.load(written("fp32"))
    again = imported(tensors, meta)
    assert again.keys() == model.parameters.keys()
    for name, values in model.parameters.items():
        assert again[name].dtype == np.float32 and again[name].tobytes() == values.tobytes(), name


@pytest.mark.parametrize(("precision", "bits"), [("bf16", 8), ("f16", 11)])
def test_fewer_bytes_are_the_nearest_numbers(model, written, precision, bits):
    path = written(precision)
    again = imported(*checkpoint.load(path))
    for name, values in model.parameters.items():
        exact = name == "embed_norm"
        error = 0 if exact else 2.0**-bits
        np.testing.assert_allclose(again[name], values, rtol=error, atol=1e-7 * (not exact))
    with CheckpointFile(path) as file:
        assert file.is_exported
        assert {entry.dtype for entry in file.entries} == {
            {"bf16": "BF16", "f16": "F16"}[precision]
        }


def test_the_embedding_is_normalised_and_queries_keys_and_values_are_apart(model):
    tensors = exported(model.parameters)
    wte, gain = model.parameters["wte"], model.parameters["embed_norm"]
    rows = wte / np.sqrt((wte**2).mean(axis=1, keepdims=True) + 1e-5) * gain
    np.testing.assert_allclose(tensors["model.embed_tokens.weight"], rows, rtol=1e-6)
    np.testing.assert_array_equal(tensors["lm_head.weight"], wte)
    qkv = model.parameters["layers.1.attn_qkv"]
    np.testing.assert_array_equal(tensors["model.layers.1.self_attn.k_proj.weight"], qkv[16:32])


def test_the_safetensors_library_reads_bfloat16_of_it(written):
    safetensors = pytest.importorskip("safetensors")
    path = written("bf16")
    with safetensors.safe_open(path, "np") as file:
        assert file.metadata()["format"] == "pt"
    header = json.loads(path.read_bytes()[8:].split(b"}}")[0] + b"}}")
    assert header["lm_head.weight"]["dtype"] == "BF16"


def test_a_flipped_bit_is_found(written):
    path = written("f16")
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        checkpoint.load(path)


def test_uint16_arrays_are_bfloat16():
    assert as_float32(np.array([0x3F80], np.uint16))[0] == 1.0
