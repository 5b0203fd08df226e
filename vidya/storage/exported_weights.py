"""A model's weights as `transformers` has them for `ArceeForCausalLM`, and back.

Arcee (AFM-4.5B) is the one architecture there that vidya's is, once two things are said otherwise:

- It has no normalisation behind the embedding. `embed_norm` acts on each row by itself, so it is
  folded into the rows: `embed_tokens = RMSNorm(wte) · gain`, and the output head, which is tied
  to `wte` here, is a matrix of its own. The gains stand in the metadata, so nothing is lost.
- Queries, keys and values have a matrix each: the rows of `attn_qkv` in three parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np

from vidya import kernels
from vidya.kernels.bfloat16 import from_bf16, to_bf16
from vidya.model.parameters import Array

WeightFormat: TypeAlias = Literal["fp32", "bf16", "f16"]
"""Numbers that exported weights can be written in."""
GAINS = "embed_norm"
"""What of the metadata holds the gains that were folded away."""
_NAMES = {
    "attn_norm": "input_layernorm.weight",
    "attn_out": "self_attn.o_proj.weight",
    "ffn_norm": "post_attention_layernorm.weight",
    "ffn_up": "mlp.up_proj.weight",
    "ffn_down": "mlp.down_proj.weight",
}
_QKV = tuple(f"self_attn.{part}_proj.weight" for part in "qkv")


def exported(parameters: Mapping[str, Array]) -> dict[str, Array]:
    """The parameters of a model (float32) under their names in `transformers`."""
    tensors: dict[str, Array] = {}
    for name, values in parameters.items():
        role = name.rpartition(".")[2]
        layer = f"model.{name.removesuffix(role)}"
        if role == "wte":
            rows, _ = kernels.rmsnorm(values, parameters["embed_norm"])
            tensors["model.embed_tokens.weight"], tensors["lm_head.weight"] = rows, values
        elif role == "final_norm":
            tensors["model.norm.weight"] = values
        elif role == "attn_qkv":
            parts = np.split(values, 3)
            tensors |= {layer + part: rows for part, rows in zip(_QKV, parts, strict=True)}
        elif role in _NAMES:
            tensors[layer + _NAMES[role]] = values
    return tensors


def imported(tensors: Mapping[str, Array], meta: Mapping[str, Any]) -> dict[str, Array]:
    """The parameters of a model, float32, from an exported file: what `exported` began with.

    Args:
        tensors: as they stand in the file.
        meta: its metadata.

    Raises:
        KeyError: a tensor or the gains are missing.
    """
    layers = {name: role for role, name in _NAMES.items()}
    found = {"wte": tensors["lm_head.weight"], "final_norm": tensors["model.norm.weight"]}
    for name, values in tensors.items():
        layer, part = ".".join(name.split(".")[1:3]), ".".join(name.split(".")[3:])
        if part == _QKV[0]:
            parts = [tensors[f"model.{layer}.{one}"] for one in _QKV]
            found[f"{layer}.attn_qkv"] = np.concatenate(parts)
        elif part in layers:
            found[f"{layer}.{layers[part]}"] = values
    parameters = {name: as_float32(values) for name, values in found.items()}
    parameters[GAINS] = np.array(meta[GAINS], dtype=np.float32)
    return parameters


def in_format(tensors: Mapping[str, Array], weights: WeightFormat) -> dict[str, Array]:
    """Tensors (float32) in the numbers of a format; bfloat16 is kept in uint16 arrays."""
    if weights == "bf16":
        return {name: to_bf16(np.ascontiguousarray(values)) for name, values in tensors.items()}
    dtype = np.float16 if weights == "f16" else np.float32
    return {name: values.astype(dtype) for name, values in tensors.items()}


def as_float32(values: Array) -> Array:
    """A tensor of an exported file as float32: uint16 arrays hold bfloat16."""
    return from_bf16(values) if values.dtype == np.uint16 else values.astype(np.float32)
