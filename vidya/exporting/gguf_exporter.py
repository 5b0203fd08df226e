"""A GGUF file, for llama.cpp and what is built on it: written, and read again."""

from __future__ import annotations

import shlex
from pathlib import Path

from vidya.exporting import gguf_check
from vidya.exporting.gguf_chat_template import gguf_chat_template
from vidya.exporting.gguf_file import ChatVocabulary, gguf_package, write_gguf
from vidya.exporting.gguf_tokenizer import OtherIds, corpus_lines, other_ids, vocabulary
from vidya.exporting.mean_zero_embedding import Starcoder2, as_starcoder2
from vidya.exporting.targets import ExportPrecision
from vidya.storage.pretrained import Pretrained


class GgufExporter:
    """Writes and checks the file."""

    def __init__(self, *, allow_other_ids: bool = False) -> None:
        self._allow_other_ids = allow_other_ids
        self._ids = OtherIds(0, 0)

    def write(self, model: Pretrained, place: Path, precision: ExportPrecision) -> None:
        """Write the file at `place`."""
        gguf_package()
        self._ids = other_ids(model.tokenizer, corpus_lines(model))
        if not self._allow_other_ids:
            self._ids.require_few()
        config = model.model.config
        write_gguf(
            place, place.stem, weights_of(model), text_of(model), config.context, config.n_layer,
            precision,
        )  # fmt: skip

    def check(self, model: Pretrained, place: Path, precision: ExportPrecision) -> list[str]:
        """Read the file again: by the package `gguf`, plain NumPy and llama.cpp."""
        lines = gguf_check.check(model, place, precision, weights_of(model), text_of(model))
        return [*lines, self._ids.line()]

    def how_to_load(self, out: Path) -> list[tuple[str, str]]:
        """Commands of llama.cpp for the finished file."""
        name = shlex.quote(str(out))
        return [
            ("talk to it", f"llama-cli -m {name}"),
            ("serve it", f"llama-server -m {name}"),
        ]


def weights_of(model: Pretrained) -> Starcoder2:
    """What a model is as a Starcoder2."""
    return as_starcoder2(model.model.parameters, model.model.config)


def text_of(model: Pretrained) -> ChatVocabulary:
    """What a file says of text."""
    tokenizer = model.tokenizer
    return ChatVocabulary(
        vocabulary(tokenizer), tokenizer.bos_id, tokenizer.user_id, gguf_chat_template(tokenizer)
    )
