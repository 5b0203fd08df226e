"""What was written as a GGUF file, read again: by the package `gguf`, plain NumPy, llama.cpp."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np

from vidya.errors import UserError
from vidya.exporting import llama_cpp
from vidya.exporting.comparison import MOST_APART, difference, own_log_probabilities
from vidya.exporting.gguf_file import ChatVocabulary, gguf_name, read_gguf
from vidya.exporting.gguf_tokenizer import as_llama_cpp_cuts
from vidya.exporting.llama_cpp import LlamaCpp
from vidya.exporting.mean_zero_embedding import Starcoder2
from vidya.exporting.numpy_starcoder2 import NumpyStarcoder2
from vidya.exporting.targets import ExportPrecision
from vidya.exporting.trial_texts import TrialTexts
from vidya.generation.chat_tokens import chat_prompt
from vidya.model.parameters import Array
from vidya.storage.pretrained import Pretrained

_PLACES = 40
"""How many tokens' probabilities llama.cpp is asked for."""


def check(
    model: Pretrained, file: Path, precision: ExportPrecision, weights: Starcoder2,
    text: ChatVocabulary,
) -> list[str]:  # fmt: skip
    """Compare a file with the model that it was made of; lines that say how.

    Args:
        model: what was exported.
        file: what was written.
        precision: of its weights.
        weights: what should stand in it.
        text: what it should say of text.

    Raises:
        UserError: it is not the same.
    """
    content, trial = read_gguf(file), TrialTexts.of(model)
    found = [content.fields.get(f"tokenizer.{name}") for name in ("ggml.tokens", "ggml.merges")]
    found.append(content.fields.get("tokenizer.chat_template"))
    if found != [text.vocabulary.tokens, text.vocabulary.merges, text.template]:
        raise UserError("the exported tokenizer is not the model's: report this")
    tensors = {name: content.tensors[gguf_name(name)] for name in weights.tensors}
    theirs = NumpyStarcoder2(tensors, weights.heads, weights.epsilon)
    apart = difference(model.model, trial.rows, theirs.logits)
    apart.require_small(precision, "what was written")
    lines = [apart.line("with plain NumPy")]
    version = llama_cpp.version()
    if version is None:
        return [*lines, f"not tried   with llama.cpp: pip install {llama_cpp.PACKAGE}"]
    with LlamaCpp.loaded(file, model.model.config.context) as loaded:
        return [*lines, *_with_llama_cpp(model, loaded, precision, trial, version)]


def _with_llama_cpp(
    model: Pretrained, loaded: LlamaCpp, precision: ExportPrecision, trial: TrialTexts, version: str
) -> list[str]:
    """The same through the program that the file is for."""
    what = f"llama.cpp ({llama_cpp.PACKAGE} {version})"
    twin = as_llama_cpp_cuts(model.tokenizer)
    conversations = [turns for turns in trial.conversations if _can_be_laid_out(turns)]
    laid_out = [model.tokenizer.decode(chat_prompt(model.tokenizer, turns, 1 << 30)[1:])
                for turns in conversations]  # fmt: skip
    prompts = [loaded.prompt(turns) for turns in conversations]
    for given, expected in zip([*trial.texts, *prompts], [*trial.texts, *laid_out], strict=True):
        if loaded.ids(given) != twin.encode(expected, add_special_tokens=False).ids:
            raise UserError(f"{what} has other ids than was told for {given[:60]!r}: report this")
    ours, theirs = log_probabilities(model, loaded, trial.rows[0], _PLACES)
    apart = float(np.abs(ours - theirs).mean())
    if not apart <= MOST_APART[precision] + MOST_APART["f16"]:  # its cache is f16
        raise UserError(
            f"{what} computes something else than the model (mean |Δ log-probability| {apart:.2g}):"
            " nothing was kept; choose another --precision, or report it"
        )
    return [
        f"checked     with {what}: {len(ours)} tokens, mean |Δ log-probability| {apart:.1g}",
        f"checked     its tokenizer and chat template: {len(trial.texts):,} texts, "
        f"{len(conversations):,} conversations",
    ]


def _can_be_laid_out(turns: list[str]) -> bool:
    """Whether the template, for a program that normalises nothing, gives the text that chat has.

    It breaks a marker that somebody types in another way, and leaves accents and indentation.
    """
    return not any(
        "<|" in turn or "\n " in turn or unicodedata.normalize("NFC", turn) != turn
        for turn in turns
    )


def log_probabilities(
    model: Pretrained, loaded: LlamaCpp, row: list[int], places: int
) -> tuple[Array, Array]:
    """Log-probabilities (nats) of tokens that follow in a text: vidya's, and llama.cpp's.

    Args:
        model: vidya's.
        loaded: the same in llama.cpp.
        row: token ids, two at least and as many as the context at most.
        places: how many tokens are asked for at most, evenly taken.
    """
    ours = own_log_probabilities(model.model, row)
    at = np.unique(np.linspace(1, len(row) - 1, places, dtype=np.int64)).tolist()
    vocabulary = model.tokenizer.vocab_size
    theirs = [loaded.log_probabilities(row[:n], vocabulary)[row[n]] for n in at]
    return ours[np.array(at) - 1], np.array(theirs)
