"""A folder that `transformers` loads as `Starcoder2ForCausalLM`, for tools that know no Arcee."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vidya.exporting import hugging_face_check
from vidya.exporting.mean_zero_embedding import Starcoder2, as_starcoder2
from vidya.exporting.numpy_starcoder2 import NumpyStarcoder2
from vidya.exporting.targets import ExportPrecision
from vidya.exporting.transformers_folder import (
    about,
    pipeline_command,
    shared_config,
    write_folder,
)
from vidya.storage import checkpoint
from vidya.storage.exported_weights import as_float32
from vidya.storage.pretrained import Pretrained
from vidya.storage.run_files import EXPORTED_WEIGHTS


class Starcoder2Exporter:
    """Writes and checks the folder."""

    def write(self, model: Pretrained, place: Path, precision: ExportPrecision) -> None:
        """Write the folder at `place`."""
        weights = as_starcoder2(model.model.parameters, model.model.config)
        config = starcoder2_config(model, weights, precision)
        write_folder(model, place, precision, weights.tensors, about(model), config)

    def check(self, model: Pretrained, place: Path, precision: ExportPrecision) -> list[str]:
        """Read the folder again, as plain NumPy and as `transformers` do."""
        weights = as_starcoder2(model.model.parameters, model.model.config)
        tensors, _ = checkpoint.load(place / EXPORTED_WEIGHTS)
        written = {name: as_float32(values) for name, values in tensors.items()}
        theirs = NumpyStarcoder2(written, weights.heads, weights.epsilon)
        return hugging_face_check.check(model, place, precision, theirs.logits)

    def how_to_load(self, out: Path) -> list[tuple[str, str]]:
        """Commands for the finished folder."""
        return [("in Python", pipeline_command(out))]


def starcoder2_config(
    model: Pretrained, weights: Starcoder2, precision: ExportPrecision
) -> dict[str, Any]:
    """The content of `config.json`."""
    return {
        "architectures": ["Starcoder2ForCausalLM"],
        "model_type": "starcoder2",
        "hidden_size": weights.width,
        "intermediate_size": weights.feed_forward,
        "num_attention_heads": weights.heads,
        "num_key_value_heads": weights.heads,
        "head_dim": weights.width // weights.heads,
        "norm_type": "layer_norm",
        "norm_epsilon": weights.epsilon,
        "use_bias": True,
        "sliding_window": None,
        "residual_dropout": 0.0,
        "embedding_dropout": 0.0,
        **shared_config(model, precision),
    }
