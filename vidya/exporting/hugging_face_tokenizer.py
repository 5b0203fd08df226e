"""A tokenizer in the files that `transformers` loads, with ids equal to vidya's own."""

from __future__ import annotations

import json
from typing import Any

from vidya.exporting.chat_template import chat_template
from vidya.storage.run_files import RunFiles
from vidya.text.conversation_format import BOS, LINE_BREAK
from vidya.text.tokenizer import Tokenizer

CHAT_TEMPLATE = "chat_template.jinja"


def tokenizer_files(tokenizer: Tokenizer, context: int) -> dict[str, str]:
    """The files by name, and what stands in them.

    Args:
        tokenizer: the model's.
        context: tokens that the model attends over at most.
    """
    template = chat_template(tokenizer)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": BOS,
        "pad_token": BOS,
        "padding_side": "left",
        "model_max_length": context,
        # the default has token types, which no decoder takes
        "model_input_names": ["input_ids", "attention_mask"],
        "clean_up_tokenization_spaces": False,
        # here as well, for programs that do not look for the file
        "chat_template": template,
    }
    return {
        RunFiles(".").tokenizer.name: _tokenizer_json(tokenizer),
        "tokenizer_config.json": json.dumps(config, indent=2, ensure_ascii=False) + "\n",
        CHAT_TEMPLATE: template,
    }


def _tokenizer_json(tokenizer: Tokenizer) -> str:
    """Vidya's own, with the `<|bos|>` that documents begin with, and line breaks in what it says.

    Neither changes what vidya makes of it: its ids are asked for without special tokens, and it
    decodes by itself.
    """
    content: dict[str, Any] = json.loads(tokenizer.json_text)
    bos = {"SpecialToken": {"id": BOS, "type_id": 0}}
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    content["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [bos, first],
        "pair": [bos, first, bos, second],
        "special_tokens": {BOS: {"id": BOS, "ids": [tokenizer.bos_id], "tokens": [BOS]}},
    }
    byte_level = {
        "type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True
    }  # fmt: skip
    line_break = {"type": "Replace", "pattern": {"String": LINE_BREAK}, "content": "\n"}
    content["decoder"] = {"type": "Sequence", "decoders": [byte_level, line_break]}
    return json.dumps(content, indent=2, ensure_ascii=False)
