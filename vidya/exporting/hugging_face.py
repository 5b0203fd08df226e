"""A folder that Hugging Face's `transformers` loads: `ArceeForCausalLM`, without code of ours."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from vidya.exporting import hugging_face_check
from vidya.exporting.numpy_arcee import NumpyArcee
from vidya.exporting.targets import ExportPrecision
from vidya.exporting.transformers_folder import (
    about,
    pipeline_command,
    shared_config,
    write_folder,
)
from vidya.kernels import RMSNORM_EPS
from vidya.storage.exported_weights import GAINS, exported
from vidya.storage.pretrained import Pretrained


class HuggingFaceExporter:
    """Writes and checks the folder."""

    def write(self, model: Pretrained, place: Path, precision: ExportPrecision) -> None:
        """Write the folder at `place`."""
        parameters = model.model.parameters
        # with the gains, a model of vidya can be made of it again
        meta = about(model) | {GAINS: parameters["embed_norm"].tolist()}
        config = model_config(model, precision)
        write_folder(model, place, precision, exported(parameters), meta, config)

    def check(self, model: Pretrained, place: Path, precision: ExportPrecision) -> list[str]:
        """Read the folder again, as vidya, as plain NumPy and as `transformers` do."""
        hugging_face_check.require_same_weights(model, place, precision)
        return hugging_face_check.check(model, place, precision, NumpyArcee(place).logits)

    def how_to_load(self, out: Path) -> list[tuple[str, str]]:
        """Commands for the finished folder."""
        return [
            ("in Python", pipeline_command(out)),
            ("talk to it here", f"python -m vidya.chat {shlex.quote(str(out))}"),
            ("train it on", f"python -m vidya.train --init {shlex.quote(str(out))} --out DIR"),
        ]


def model_config(model: Pretrained, precision: ExportPrecision) -> dict[str, Any]:
    """The content of `config.json`."""
    config = model.model.config
    return {
        "architectures": ["ArceeForCausalLM"],
        "model_type": "arcee",
        "hidden_size": config.n_embd,
        "intermediate_size": 4 * config.n_embd,
        "num_attention_heads": config.n_head,
        "num_key_value_heads": config.n_head,
        "head_dim": config.head_dim,
        "rms_norm_eps": RMSNORM_EPS,
        "attention_bias": False,
        "mlp_bias": False,
        **shared_config(model, precision),
    }
