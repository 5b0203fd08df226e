"""A model of ours as one with LayerNorm, to the same logits: its columns go where the mean is zero.

Programs that have neither RMSNorm with a plain GELU nor our `embed_norm` have Starcoder2:
LayerNorm, GELU (tanh form), RoPE over halves, biases. With n = d + head_dim columns in place of d,
let P [n, d] have orthonormal columns that all sum to zero, and carry the residual stream as x·Pᵀ.
Its mean is zero and its variance |x|²/n, so a LayerNorm of weight √(d/n), bias 0 and ε·d/n gives
RMSNorm(x)·Pᵀ. What reads the stream takes W·diag(gain)·Pᵀ for W, what adds to it P·W, the embedding
its rows after `embed_norm` times Pᵀ, the logits wte·diag(final gain)·Pᵀ. A head of zeros makes
heads·head_dim = n. docs/FORMATS.md ("GGUF and Starcoder2") has it step by step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidya.kernels import RMSNORM_EPS
from vidya.model.config import ModelConfig

Array = NDArray[Any]


@dataclass(frozen=True)
class Starcoder2:
    """A Starcoder2 model that computes what a model of ours computes."""

    width: int
    """n, columns of the residual stream: one head more than ours."""
    heads: int
    """Attention heads; the last one is zeros."""
    feed_forward: int
    """Columns between the two matrices of a feed-forward network: as many as in ours."""
    epsilon: float
    """Added to the variance in every LayerNorm."""
    tensors: dict[str, Array]
    """float32, by the names of Hugging Face's `Starcoder2ForCausalLM`, matrices [out, in]."""


def mean_zero_basis(rows: int, columns: int) -> Array:
    """P: float64 [rows, columns], orthonormal columns that each sum to zero; columns < rows.

    The first columns of the Householder reflection I - 2uuᵀ/|u|², u = e - 1/√rows, that turns the
    last unit vector e into the vector of equal numbers, on which all others stay upright.
    """
    if not 0 < columns < rows:
        raise ValueError(f"{columns} columns that sum to zero do not fit {rows} rows")
    u = np.full(rows, -1 / np.sqrt(rows))
    u[-1] += 1
    basis: Array = np.eye(rows, columns) - np.outer(u, u[:columns]) * (2 / (u @ u))
    return basis


def as_starcoder2(parameters: Mapping[str, Array], config: ModelConfig) -> Starcoder2:
    """The same function of token ids as a Starcoder2.

    Args:
        parameters: of a model, by name (`parameter_shapes`).
        config: its architecture.
    """
    d, n, hd = config.n_embd, config.n_embd + config.head_dim, config.head_dim
    basis = mean_zero_basis(n, d)
    tensors: dict[str, Array] = {}

    def exactly(name: str) -> Array:
        return np.asarray(parameters[name], np.float64)

    def put(name: str, weight: Array) -> None:
        tensors[f"{name}.weight"] = np.ascontiguousarray(weight, np.float32)

    def put_norm(name: str) -> None:
        put(name, np.full(n, np.sqrt(d / n)))
        tensors[f"{name}.bias"] = np.zeros(n, np.float32)

    def put_linear(name: str, weight: Array) -> None:
        put(name, weight)
        tensors[f"{name}.bias"] = np.zeros(len(weight), np.float32)

    wte = exactly("wte")
    mean_square = np.mean(wte * wte, axis=1, keepdims=True)
    normed = wte / np.sqrt(mean_square + RMSNORM_EPS) * exactly("embed_norm")
    put("model.embed_tokens", normed @ basis.T)
    no_rows, no_columns = np.zeros((hd, n)), np.zeros((d, hd))
    for i in range(config.n_layer):
        ours, theirs = f"layers.{i}", f"model.layers.{i}"
        put_norm(f"{theirs}.input_layernorm")
        qkv = (exactly(f"{ours}.attn_qkv") * exactly(f"{ours}.attn_norm")) @ basis.T
        for role, weight in zip("qkv", np.split(qkv, 3), strict=True):
            put_linear(f"{theirs}.self_attn.{role}_proj", np.vstack([weight, no_rows]))
        out = np.hstack([exactly(f"{ours}.attn_out"), no_columns])
        put_linear(f"{theirs}.self_attn.o_proj", basis @ out)
        put_norm(f"{theirs}.post_attention_layernorm")
        up = exactly(f"{ours}.ffn_up") * exactly(f"{ours}.ffn_norm")
        put_linear(f"{theirs}.mlp.c_fc", up @ basis.T)
        put_linear(f"{theirs}.mlp.c_proj", basis @ exactly(f"{ours}.ffn_down"))
    put_norm("model.norm")
    put("lm_head", (wte * exactly("final_norm")) @ basis.T)
    return Starcoder2(n, n // hd, 4 * d, RMSNORM_EPS * d / n, tensors)
