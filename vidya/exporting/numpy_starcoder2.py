"""The forward pass of a Starcoder2 in plain NumPy: LayerNorm, RoPE over halves, GELU, biases.

It is written after `transformers`' `modeling_starcoder2.py`, without vidya's kernels: what is
found out with it is found out about the weights that it is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidya.exporting.numpy_layers import causal_attention, gelu
from vidya.kernels import ROPE_BASE

Array = NDArray[Any]


@dataclass(frozen=True)
class NumpyStarcoder2:
    """A model whose passes are computed in the numbers of its tensors."""

    tensors: Mapping[str, Array]
    """float32 or float64, by the names of `Starcoder2ForCausalLM`."""
    heads: int
    epsilon: float

    def logits(self, ids: Sequence[int]) -> Array:
        """Logits [T, vocabulary] of one text of T ids."""
        x = self.tensors["model.embed_tokens.weight"][np.asarray(ids)]
        layer = 0
        while f"model.layers.{layer}.mlp.c_fc.weight" in self.tensors:
            name = f"model.layers.{layer}"
            x = x + self._attended(self._normed(x, f"{name}.input_layernorm"), f"{name}.self_attn")
            y = self._linear(
                self._normed(x, f"{name}.post_attention_layernorm"), f"{name}.mlp.c_fc"
            )
            x = x + self._linear(gelu(y), f"{name}.mlp.c_proj")
            layer += 1
        logits: Array = self._normed(x, "model.norm") @ self.tensors["lm_head.weight"].T
        return logits

    def _linear(self, x: Array, name: str) -> Array:
        product: Array = x @ self.tensors[f"{name}.weight"].T
        return product + self.tensors[f"{name}.bias"]

    def _normed(self, x: Array, name: str) -> Array:
        """LayerNorm of rows."""
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = np.square(centred).mean(axis=-1, keepdims=True)
        normed: Array = centred / np.sqrt(variance + x.dtype.type(self.epsilon))
        return normed * self.tensors[f"{name}.weight"] + self.tensors[f"{name}.bias"]

    def _attended(self, x: Array, name: str) -> Array:
        """Causal attention of x [T, width], with the product behind it."""
        q, k, v = (self._linear(x, f"{name}.{one}_proj") for one in "qkv")
        taken = causal_attention(q, k, v, self.heads, ROPE_BASE)
        return self._linear(taken, f"{name}.o_proj")
