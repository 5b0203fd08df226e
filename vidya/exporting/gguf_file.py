"""A Starcoder2 with its tokenizer as a GGUF file, written and read with the package `gguf`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidya.errors import UserError
from vidya.exporting.gguf_tokenizer import CUTTING, Vocabulary
from vidya.exporting.mean_zero_embedding import Starcoder2
from vidya.exporting.targets import ExportPrecision
from vidya.generation.sampling_settings import SamplingSettings
from vidya.kernels import ROPE_BASE

Array = NDArray[Any]
_KINDS: dict[ExportPrecision, tuple[str, str]] = {
    "fp32": ("F32", "ALL_F32"), "f16": ("F16", "MOSTLY_F16"), "bf16": ("BF16", "MOSTLY_BF16"),
    "q8_0": ("Q8_0", "MOSTLY_Q8_0"),
}  # fmt: skip
"""gguf's names for the numbers of matrices, and for the kind of the file."""
_OUTER = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
}
_INNER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}


@dataclass(frozen=True)
class ChatVocabulary:
    """What a GGUF file says of text: the vocabulary, its markers, and the layout of a chat."""

    vocabulary: Vocabulary
    bos: int
    """Stands before a text, and ends it."""
    user: int
    """Ends a reply, too: it begins the next turn."""
    template: str
    """Of Jinja."""


def gguf_package() -> Any:
    """The package `gguf`; `UserError` if it is not installed."""
    try:
        import gguf
    except ImportError as error:
        raise UserError("--to gguf needs a package: python -m pip install gguf") from error
    return gguf


def write_gguf(
    path: Path, name: str, weights: Starcoder2, text: ChatVocabulary, context: int, layers: int,
    precision: ExportPrecision,
) -> None:  # fmt: skip
    """Write a file.

    Args:
        path: of the file.
        name: of the model, for people.
        weights: its tensors.
        text: its tokenizer.
        context: longest run of tokens that it attends over.
        layers: how many it has.
        precision: of the matrices; what a LayerNorm has and biases are float32. With q8_0, a
            matrix whose rows are no multiple of 32 is f16.
    """
    gguf = gguf_package()
    kind, file_type = _KINDS[precision]
    writer = gguf.GGUFWriter(path, "starcoder2")
    writer.add_name(name)
    writer.add_description("A chat model trained from scratch on a CPU with vidya")
    writer.add_file_type(gguf.LlamaFileType[file_type])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_vocab_size(len(text.vocabulary.tokens))
    writer.add_context_length(context)
    writer.add_embedding_length(weights.width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(weights.feed_forward)
    writer.add_head_count(weights.heads)
    writer.add_head_count_kv(weights.heads)
    writer.add_layer_norm_eps(weights.epsilon)
    writer.add_rope_dimension_count(weights.width // weights.heads)
    writer.add_rope_freq_base(ROPE_BASE)
    _add_sampling(writer)
    _add_text(writer, gguf.TokenType, text)
    for tensor_name, values in weights.tensors.items():
        of_row = kind if values.ndim == 2 else "F32"
        if of_row == "Q8_0" and values.shape[1] % 32:
            of_row = "F16"
        type_ = gguf.GGMLQuantizationType[of_row]
        packed = gguf.quants.quantize(np.ascontiguousarray(values), type_)
        writer.add_tensor(gguf_name(tensor_name), packed, raw_dtype=type_)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _add_sampling(writer: Any) -> None:
    """How replies are drawn where nobody says it: as in chat."""
    sampling = SamplingSettings()
    writer.add_sampling_temp(sampling.temperature)
    writer.add_sampling_top_k(sampling.top_k)
    writer.add_sampling_top_p(sampling.top_p)
    writer.add_sampling_min_p(sampling.min_p)
    writer.add_sampling_penalty_repeat(sampling.repetition_penalty)


def _add_text(writer: Any, kinds: Any, text: ChatVocabulary) -> None:
    vocabulary = text.vocabulary
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(CUTTING)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types([kinds.CONTROL if one else kinds.NORMAL for one in vocabulary.special])
    writer.add_token_merges(vocabulary.merges)
    writer.add_bos_token_id(text.bos)
    writer.add_eos_token_id(text.bos)
    # Not <|assistant|>, which ends replies here as well: prompts end with it, and programs that
    # look at the last token would take the reply for finished.
    writer.add_eot_token_id(text.user)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(text.template)


def gguf_name(name: str) -> str:
    """What llama.cpp calls a tensor of `Starcoder2ForCausalLM`."""
    whole, _, kind = name.rpartition(".")
    if whole in _OUTER:
        return f"{_OUTER[whole]}.{kind}"
    _, _, layer, role = whole.split(".", 3)
    return f"blk.{layer}.{_INNER[role]}.{kind}"


@dataclass(frozen=True)
class GgufContent:
    """What was read of a file."""

    tensors: dict[str, Array]
    """float32, by the names of the file."""
    fields: Mapping[str, Any]
    """What it says of the model and of text."""


def read_gguf(path: Path) -> GgufContent:
    """Read a file."""
    gguf = gguf_package()
    reader = gguf.GGUFReader(path)
    tensors = {
        one.name: np.asarray(gguf.quants.dequantize(one.data, one.tensor_type), np.float32)
        for one in reader.tensors
    }
    fields = {name: field.contents() for name, field in reader.fields.items()}
    return GgufContent(tensors, fields)
