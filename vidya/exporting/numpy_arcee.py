"""The forward pass of an exported model in plain NumPy, by what stands in its folder alone.

It is written after `transformers`' `modeling_arcee.py` and shares nothing with vidya's kernels:
what is found out with it is found out about the files.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vidya.model.parameters import Array
from vidya.storage import checkpoint
from vidya.storage.exported_weights import as_float32
from vidya.storage.run_files import EXPORTED_WEIGHTS


class NumpyArcee:
    """A model that was read from a folder."""

    def __init__(self, folder: Path) -> None:
        self._config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
        tensors, _ = checkpoint.load(folder / EXPORTED_WEIGHTS)
        self._weights = {name: as_float32(values) for name, values in tensors.items()}

    def logits(self, ids: Sequence[int]) -> Array:
        """Logits [T, vocabulary] of one text of T ids."""
        stream = self._weights["model.embed_tokens.weight"][np.asarray(ids)]
        for layer in range(self._config["num_hidden_layers"]):
            name = f"model.layers.{layer}"
            normed = self._normed(stream, f"{name}.input_layernorm.weight")
            stream = stream + self._attended(normed, f"{name}.self_attn")
            normed = self._normed(stream, f"{name}.post_attention_layernorm.weight")
            up = _gelu(self._product(normed, f"{name}.mlp.up_proj"))
            stream = stream + self._product(up, f"{name}.mlp.down_proj")
        return self._product(self._normed(stream, "model.norm.weight"), "lm_head")

    def _product(self, x: Array, name: str) -> Array:
        product: Array = x @ self._weights[f"{name}.weight"].T
        return product

    def _normed(self, x: Array, name: str) -> Array:
        mean_square = np.square(x).mean(axis=-1, keepdims=True)
        normed: Array = x / np.sqrt(mean_square + self._config["rms_norm_eps"])
        return normed * self._weights[name]

    def _attended(self, x: Array, name: str) -> Array:
        """Causal attention of x [T, d], with the product behind it."""
        T, heads, size = len(x), self._config["num_attention_heads"], self._config["head_dim"]
        q, k, v = (
            self._product(x, f"{name}.{one}_proj").reshape(T, heads, size).swapaxes(0, 1)
            for one in "qkv"
        )
        scores = self._rotated(q) @ self._rotated(k).swapaxes(1, 2) / np.sqrt(np.float32(size))
        scores = np.where(np.tri(T, dtype=bool), scores, -np.inf)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        return self._product((shares @ v).swapaxes(0, 1).reshape(T, heads * size), f"{name}.o_proj")

    def _rotated(self, x: Array) -> Array:
        """Queries or keys [heads, T, size], turned by their positions."""
        _, T, size = x.shape
        theta = self._config["rope_parameters"]["rope_theta"]
        angles = np.arange(T)[:, None] * theta ** (-np.arange(0, size, 2) / size)
        cos, sin = (f(angles).astype(np.float32) for f in (np.cos, np.sin))
        first, second = np.split(x, 2, axis=-1)
        return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def _gelu(x: Array) -> Array:
    """GELU in its tanh form, `gelu_pytorch_tanh`."""
    inside = np.float32(np.sqrt(2 / np.pi)) * (x + np.float32(0.044715) * x**3)
    value: Array = np.float32(0.5) * x * (1 + np.tanh(inside))
    return value
