"""The whole model in NumPy float64, one text at a time, written down from the architecture."""

import numpy as np

from . import kernels as reference


def log_probabilities(model, tokens):
    """[n, V] log-probabilities of what may follow each of n tokens."""
    logits = reference.matmul(forward(model, np.asarray(tokens)), model.parameters["wte"])
    peaks = logits.max(axis=1, keepdims=True)
    return logits - peaks - np.log(np.exp(logits - peaks).sum(axis=1, keepdims=True))


def forward(model, tokens):
    """Losses' last input [T, d], written down from the architecture."""
    p, config = model.parameters, model.config
    offsets, positions = np.array([0, len(tokens)]), np.arange(len(tokens))
    cos, sin = reference.rope_table(config.context, config.head_dim)
    x, _ = reference.rmsnorm(reference.embedding(tokens, p["wte"]), p["embed_norm"])
    for i in range(config.n_layer):
        layer = {name: p[f"layers.{i}.{name}"] for name in (
            "attn_norm", "attn_qkv", "attn_out", "ffn_norm", "ffn_up", "ffn_down",
        )}  # fmt: skip
        normed, _ = reference.rmsnorm(x, layer["attn_norm"])
        q, k, v = np.split(reference.matmul(normed, layer["attn_qkv"]), 3, axis=1)
        q, k = (turned(part, positions, cos, sin, config) for part in (q, k))
        attended, _ = reference.attention(np.hstack([q, k, v]), offsets, config.n_head)
        x = x + reference.matmul(attended, layer["attn_out"])
        normed, _ = reference.rmsnorm(x, layer["ffn_norm"])
        hidden = reference.gelu(reference.matmul(normed, layer["ffn_up"]))
        x = x + reference.matmul(hidden, layer["ffn_down"])
    return reference.rmsnorm(x, p["final_norm"])[0]


def turned(x, positions, cos, sin, config):
    """RoPE over the two halves of every head."""
    half = config.head_dim // 2
    heads = x.reshape(len(x), config.n_head, 2, half)
    c, s = cos[positions][:, None], sin[positions][:, None]
    a, b = heads[:, :, 0], heads[:, :, 1]
    return np.stack([a * c - b * s, b * c + a * s], axis=2).reshape(x.shape)
