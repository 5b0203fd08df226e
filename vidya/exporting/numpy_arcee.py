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

from vidya.exporting.numpy_layers import causal_attention, gelu
from vidya.model.parameters import Array
from vidya.storage import checkpoint
from vidya.storage.exported_weights import as_float32
from vidya.storage.run_files import EXPORTED_WEIGHTS


class NumpyArcee:
    """A model that was read from a folder, and computes in float32 or float64 numbers."""

    def __init__(self, folder: Path, dtype: type[np.floating[Any]] = np.float32) -> None:
        self._config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
        tensors, _ = checkpoint.load(folder / EXPORTED_WEIGHTS)
        self._weights = {name: as_float32(values).astype(dtype) for name, values in tensors.items()}

    def logits(self, ids: Sequence[int]) -> Array:
        """Logits [T, vocabulary] of one text of T ids."""
        stream = self._weights["model.embed_tokens.weight"][np.asarray(ids)]
        for layer in range(self._config["num_hidden_layers"]):
            name = f"model.layers.{layer}"
            normed = self._normed(stream, f"{name}.input_layernorm.weight")
            stream = stream + self._attended(normed, f"{name}.self_attn")
            normed = self._normed(stream, f"{name}.post_attention_layernorm.weight")
            up = gelu(self._product(normed, f"{name}.mlp.up_proj"))
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
        heads, rope = self._config["num_attention_heads"], self._config["rope_parameters"]
        q, k, v = (self._product(x, f"{name}.{one}_proj") for one in "qkv")
        taken = causal_attention(q, k, v, heads, rope["rope_theta"])
        return self._product(taken, f"{name}.o_proj")
