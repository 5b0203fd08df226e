"""What every folder for Hugging Face's `transformers` has, whatever the architecture is."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vidya.exporting.hugging_face_tokenizer import tokenizer_files
from vidya.exporting.model_card import model_card
from vidya.exporting.targets import ExportPrecision
from vidya.generation.sampling_settings import SamplingSettings
from vidya.kernels import ROPE_BASE
from vidya.model.config import describe
from vidya.model.parameters import Array
from vidya.storage import checkpoint
from vidya.storage.checkpoint_format import EXPORTED, read_digest
from vidya.storage.exported_weights import in_format
from vidya.storage.model_story import story
from vidya.storage.pretrained import Pretrained
from vidya.storage.run_files import EXPORTED_WEIGHTS
from vidya.system.atomic_file import write_bytes
from vidya.text.tokenizer import Tokenizer

_KEPT = ("preset", "step", "tokens", "seed", "tokenizer_hash", "corpus_hash", "held_out_hash")
"""What the metadata repeats of the model's own."""
_DTYPES = {"fp32": "float32", "bf16": "bfloat16", "f16": "float16"}


def write_folder(
    model: Pretrained, place: Path, precision: ExportPrecision, tensors: Mapping[str, Array],
    meta: dict[str, Any], config: dict[str, Any],
) -> None:  # fmt: skip
    """Make the folder `place` and write all of its files.

    Args:
        model: what is exported.
        place: the folder, which is made.
        precision: of the weights.
        tensors: the weights, float32, by the names that they have there.
        meta: metadata of the file of weights.
        config: the content of `config.json`.
    """
    assert precision != "q8_0"  # no folder is offered in it
    place.mkdir()
    checkpoint.save(place / EXPORTED_WEIGHTS, in_format(tensors, precision), meta, version=EXPORTED)
    tokenizer, context = model.tokenizer, model.model.config.context
    architecture = str(config["model_type"]).capitalize()
    texts = {
        "config.json": _json(config),
        "generation_config.json": _json(generation_config(tokenizer, context)),
        "README.md": model_card(
            model, architecture, precision, place.name, most_new_tokens(context)
        ),
        **tokenizer_files(tokenizer, context),
    }
    for name, text in texts.items():
        write_bytes(place / name, text.encode("utf-8"))


def about(model: Pretrained) -> dict[str, Any]:
    """Metadata of exported weights: the model and its training."""
    path, meta = model.checkpoint_path, model.meta
    return {
        "kind": "exported",
        "config": describe(model.model.config),
        **{name: meta[name] for name in _KEPT if name in meta},
        "story": story(path, meta),
        "origin": {
            "name": path.name, "kind": str(meta.get("kind", "")), "digest": read_digest(path)
        },
    }  # fmt: skip


def shared_config(model: Pretrained, precision: ExportPrecision) -> dict[str, Any]:
    """What `config.json` says of the model in every architecture."""
    config, tokenizer = model.model.config, model.tokenizer
    return {
        "vocab_size": config.vocab_size,
        "num_hidden_layers": config.n_layer,
        "max_position_embeddings": config.context,
        "hidden_act": "gelu_pytorch_tanh",
        # versions before 5 read the first, those after it the second
        "rope_theta": ROPE_BASE,
        "rope_parameters": {"rope_type": "default", "rope_theta": ROPE_BASE},
        "attention_dropout": 0.0,
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


def pipeline_command(out: Path) -> str:
    """A command that talks to the model of a folder through `transformers`."""
    name = str(out) if out.is_absolute() else f"./{out}"  # else it may be one of the hub
    code = (
        'from transformers import pipeline; say = pipeline("text-generation", '
        f'{json.dumps(name)}); print(say([{{"role": "user", "content": "hello"}}])[0]'
        '["generated_text"][-1]["content"])'
    )
    return f"python -c {shlex.quote(code)}"


def _ends(tokenizer: Tokenizer) -> list[int]:
    """The markers that end a reply."""
    return [tokenizer.user_id, tokenizer.bos_id, tokenizer.assistant_id]


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
