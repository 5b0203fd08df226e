"""A folder that Hugging Face's `transformers` loads: `ArceeForCausalLM`, without code of ours."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from vidya.exporting import hugging_face_check
from vidya.exporting.hugging_face_tokenizer import tokenizer_files
from vidya.exporting.model_card import model_card
from vidya.exporting.targets import ExportPrecision
from vidya.generation.sampling_settings import SamplingSettings
from vidya.kernels import RMSNORM_EPS, ROPE_BASE
from vidya.model.config import describe
from vidya.storage import checkpoint
from vidya.storage.checkpoint_format import EXPORTED, read_digest
from vidya.storage.exported_weights import GAINS, exported, in_format
from vidya.storage.model_story import story
from vidya.storage.pretrained import Pretrained
from vidya.storage.run_files import EXPORTED_WEIGHTS
from vidya.system.atomic_file import write_bytes
from vidya.text.tokenizer import Tokenizer

_KEPT = ("preset", "step", "tokens", "seed", "tokenizer_hash", "corpus_hash", "held_out_hash")
"""What the metadata repeats of the model's own."""
_DTYPES = {"fp32": "float32", "bf16": "bfloat16", "f16": "float16"}


class HuggingFaceExporter:
    """Writes and checks the folder."""

    def write(self, model: Pretrained, place: Path, precision: ExportPrecision) -> None:
        """Write the folder at `place`."""
        place.mkdir()
        config, tokenizer = model.model.config, model.tokenizer
        tensors = in_format(exported(model.model.parameters), precision)
        checkpoint.save(place / EXPORTED_WEIGHTS, tensors, about(model), version=EXPORTED)
        texts = {
            "config.json": _json(model_config(model, precision)),
            "generation_config.json": _json(generation_config(tokenizer, config.context)),
            "README.md": model_card(model, precision, place.name, most_new_tokens(config.context)),
            **tokenizer_files(tokenizer, config.context),
        }
        for name, text in texts.items():
            write_bytes(place / name, text.encode("utf-8"))

    def check(self, model: Pretrained, place: Path, precision: ExportPrecision) -> list[str]:
        """Read the folder again, as vidya, as plain NumPy and as `transformers` do."""
        return hugging_face_check.check(model, place, precision)

    def how_to_load(self, out: Path) -> list[tuple[str, str]]:
        """Commands for the finished folder."""
        name = str(out) if out.is_absolute() else f"./{out}"  # else it may be one of the hub
        code = (
            'from transformers import pipeline; say = pipeline("text-generation", '
            f'{json.dumps(name)}); print(say([{{"role": "user", "content": "hello"}}])[0]'
            '["generated_text"][-1]["content"])'
        )
        return [
            ("in Python", f"python -c {shlex.quote(code)}"),
            ("talk to it here", f"python -m vidya.chat {shlex.quote(str(out))}"),
            ("train it on", f"python -m vidya.train --init {shlex.quote(str(out))} --out DIR"),
        ]


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
        "rms_norm_eps": RMSNORM_EPS,
        # versions before 5 read the first, those after it the second
        "rope_theta": ROPE_BASE,
        "rope_parameters": {"rope_type": "default", "rope_theta": ROPE_BASE},
        "attention_bias": False,
        "attention_dropout": 0.0,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "use_cache": True,
        "bos_token_id": tokenizer.bos_id,
        "eos_token_id": _ends(tokenizer),
        # not <|bos|>, which is learnt: what is padding here gets no gradient
        "pad_token_id": None,
        "torch_dtype": _DTYPES[precision],
    }


def generation_config(tokenizer: Tokenizer, context: int) -> dict[str, Any]:
    """The content of `generation_config.json`: replies are drawn and end as in chat."""
    sampling = SamplingSettings()
    return {
        "bos_token_id": tokenizer.bos_id,
        "eos_token_id": _ends(tokenizer),
        "pad_token_id": tokenizer.bos_id,
        "do_sample": True,
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        # no reply is empty
        "min_new_tokens": 1,
        "max_new_tokens": most_new_tokens(context),
    }


def most_new_tokens(context: int) -> int:
    """Tokens after which a reply is cut off, as in chat; what it answers needs room, too."""
    return min(200, context // 2)


def _ends(tokenizer: Tokenizer) -> list[int]:
    """The markers that end a reply."""
    return [tokenizer.user_id, tokenizer.bos_id, tokenizer.assistant_id]


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
