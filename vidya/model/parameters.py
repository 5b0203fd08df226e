"""The parameters of a model: names, shapes and order in the flat buffer, and C pointers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from vidya import kernels
from vidya.model.config import ModelConfig

Array = NDArray[Any]


def parameter_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Every parameter's name and shape, [out, in], in the order of the flat buffer."""
    d = config.n_embd
    shapes: dict[str, tuple[int, ...]] = {"wte": (config.vocab_size, d), "embed_norm": (d,)}
    for i in range(config.n_layer):
        shapes[f"layers.{i}.attn_norm"] = (d,)
        shapes[f"layers.{i}.attn_qkv"] = (3 * d, d)
        shapes[f"layers.{i}.attn_out"] = (d, d)
        shapes[f"layers.{i}.ffn_norm"] = (d,)
        shapes[f"layers.{i}.ffn_up"] = (4 * d, d)
        shapes[f"layers.{i}.ffn_down"] = (d, 4 * d)
    shapes["final_norm"] = (d,)
    return shapes


def parameter_parts(config: ModelConfig) -> dict[str, int]:
    """Trained numbers by component."""
    d, layers = config.n_embd, config.n_layer
    return {
        "embedding (tied)": config.vocab_size * d,
        "attention": layers * 4 * d * d,
        "feed-forward": layers * 8 * d * d,
        "norms": d * (2 * layers + 2),
    }


def named_views(flat: Array, shapes: dict[str, tuple[int, ...]]) -> dict[str, Array]:
    """Views of consecutive stretches of `flat`, by name."""
    views, start = {}, 0
    for name, shape in shapes.items():
        size = math.prod(shape)
        views[name] = flat[start : start + size].reshape(shape)
        start += size
    return views


@dataclass
class ParameterPointers:
    """C pointers to the parameters (or to their gradients), by role and layer."""

    wte: Any
    embed_norm: Any
    final_norm: Any
    attn_norm: list[Any]
    attn_qkv: list[Any]
    attn_out: list[Any]
    ffn_norm: list[Any]
    ffn_up: list[Any]
    ffn_down: list[Any]

    @classmethod
    def of(cls, views: dict[str, Array], n_layer: int) -> ParameterPointers:
        """Pointers to named parameters (or gradients) of so many layers."""

        def layers(role: str) -> list[Any]:
            return [kernels.pointer(views[f"layers.{i}.{role}"]) for i in range(n_layer)]

        return cls(
            *(kernels.pointer(views[name]) for name in ("wte", "embed_norm", "final_norm")),
            *map(layers, ("attn_norm", "attn_qkv", "attn_out", "ffn_norm", "ffn_up", "ffn_down")),
        )
