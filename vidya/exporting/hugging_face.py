"""A folder that Hugging Face's `transformers` loads: `ArceeForCausalLM`, without code of ours."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from vidya.errors import UserError
from vidya.exporting.targets import ExportPrecision
from vidya.model.config import describe
from vidya.storage import checkpoint
from vidya.storage.checkpoint_format import EXPORTED, read_digest
from vidya.storage.exported_weights import GAINS, exported, in_format
from vidya.storage.model_story import story
from vidya.storage.pretrained import Pretrained, load_pretrained
from vidya.storage.run_files import EXPORTED_WEIGHTS
from vidya.system.atomic_file import write_bytes

_KEPT = ("preset", "step", "tokens", "seed", "tokenizer_hash", "corpus_hash", "held_out_hash")
"""What the metadata repeats of the model's own."""
_DTYPES = {"fp32": "float32", "bf16": "bfloat16", "f16": "float16"}


class HuggingFaceExporter:
    """Writes and checks the folder."""

    def write(self, model: Pretrained, place: Path, precision: ExportPrecision) -> None:
        """Write the folder at `place`."""
        place.mkdir()
        parameters = model.model.parameters
        checkpoint.save(
            place / EXPORTED_WEIGHTS, in_format(exported(parameters), precision),
            about(model), version=EXPORTED,
        )  # fmt: skip
        write_json(place / "config.json", model_config(model, precision))
        model.tokenizer.save(place / "tokenizer.json")

    def check(self, model: Pretrained, place: Path, precision: ExportPrecision) -> list[str]:
        """Read the folder again and compare."""
        again = load_pretrained(place).model.parameters
        if precision == "fp32" and any(
            again[name].tobytes() != values.tobytes()
            for name, values in model.model.parameters.items()
        ):
            raise UserError(f"what was written to {place} is not the model: is the disk sound?")
        return [f"checked     {len(again)} arrays, read again"]

    def how_to_load(self, out: Path) -> list[tuple[str, str]]:
        """Commands for the finished folder."""
        return [("talk to it", f"python -m vidya.chat {shlex.quote(str(out))}")]


def about(model: Pretrained) -> dict[str, Any]:
    """Metadata of the exported weights: what is needed to make a model of vidya of them again."""
    path, meta = model.checkpoint_path, model.meta
    return {
        "kind": "exported",
        "config": describe(model.model.config),
        **{name: meta[name] for name in _KEPT if name in meta},
        "story": story(path, meta),
        "origin": {
            "name": path.name, "kind": str(meta.get("kind", "")), "digest": read_digest(path)
        },
        GAINS: model.model.parameters["embed_norm"].tolist(),
    }  # fmt: skip


def model_config(model: Pretrained, precision: ExportPrecision) -> dict[str, Any]:
    """The content of `config.json`."""
    config, tokenizer = model.model.config, model.tokenizer
    return {
        "architectures": ["ArceeForCausalLM"],
        "model_type": "arcee",
        "vocab_size": config.vocab_size,
        "hidden_size": config.n_embd,
        "intermediate_size": 4 * config.n_embd,
        "num_hidden_layers": config.n_layer,
        "num_attention_heads": config.n_head,
        "num_key_value_heads": config.n_head,
        "head_dim": config.head_dim,
        "max_position_embeddings": config.context,
        "hidden_act": "gelu_pytorch_tanh",
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        "attention_bias": False,
        "attention_dropout": 0.0,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "use_cache": True,
        "bos_token_id": tokenizer.bos_id,
        "eos_token_id": [tokenizer.user_id, tokenizer.bos_id, tokenizer.assistant_id],
        "pad_token_id": None,
        "torch_dtype": _DTYPES[precision],
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file as people read it."""
    write_bytes(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
