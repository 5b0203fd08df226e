"""What was written for `transformers`, read again: by vidya, by plain NumPy, by `transformers`."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vidya.errors import UserError
from vidya.exporting.comparison import difference
from vidya.exporting.targets import ExportPrecision
from vidya.exporting.trial_texts import TrialTexts
from vidya.generation.chat_tokens import chat_prompt
from vidya.model.parameters import Array
from vidya.storage.pretrained import Pretrained, load_pretrained
from vidya.storage.run_files import RunFiles
from vidya.text.normalisation import normalised
from vidya.text.tokenizer import Tokenizer, tokenizers_library

_LIBRARIES = ("transformers", "torch")


def check(
    model: Pretrained, folder: Path, precision: ExportPrecision,
    logits: Callable[[Sequence[int]], Array],
) -> list[str]:  # fmt: skip
    """Compare a folder with the model that it was made of; lines that say how.

    Args:
        model: what was exported.
        folder: what was written.
        precision: of its weights.
        logits: [T, vocabulary] of a row of T ids, by what stands in the folder.

    Raises:
        UserError: it is not the same model, tokenizer or template.
    """
    trial = TrialTexts.of(model)
    found = difference(model.model, trial.rows, logits)
    found.require_small(precision, "what was written")
    tokenizer = tokenizers_library().Tokenizer.from_file(str(RunFiles(folder).tokenizer))
    _require_same_ids(
        model.tokenizer, trial.texts,
        lambda text: tokenizer.encode(text, add_special_tokens=False).ids,
    )  # fmt: skip
    lines = [
        found.line("with plain NumPy"),
        f"checked     the tokenizer: {len(trial.texts):,} texts, all ids equal",
    ]
    missing = [name for name in _LIBRARIES if not _can_be_imported(name)]
    if missing:
        return [*lines, f"not tried   with transformers: pip install {' '.join(missing)}"]
    return [*lines, *_with_transformers(model, folder, precision, trial)]


def _can_be_imported(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:  # an import hook may refuse it
        return False


def require_same_weights(model: Pretrained, folder: Path, precision: ExportPrecision) -> None:
    """In fp32, what vidya imports again must be what was exported, bit for bit.

    Raises:
        UserError: it is not.
    """
    again = load_pretrained(folder)
    if again.tokenizer.hash != model.tokenizer.hash:
        raise UserError("the exported tokenizer is not the model's: report this")
    for name, values in model.model.parameters.items():
        if precision == "fp32" and values.tobytes() != again.model.parameters[name].tobytes():
            raise UserError(f"{name} was not read as it was written: is the disk sound?")


def _require_same_ids(tokenizer: Tokenizer, texts: Sequence[str], encode: Any) -> None:
    for text in texts:
        if list(encode(text)) != tokenizer.encode_marked(text):
            raise UserError(f"the exported tokenizer has other ids for {text[:60]!r}: report this")


def _with_transformers(
    model: Pretrained, folder: Path, precision: ExportPrecision, trial: TrialTexts
) -> list[str]:
    """The same through the library that the folder is for."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    import transformers

    version = importlib.metadata.version("transformers")
    (architecture,) = json.loads((folder / "config.json").read_text("utf-8"))["architectures"]
    if not hasattr(transformers, architecture):
        return [f"not tried   with transformers {version}, which is too old: no {architecture}"]
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # of whatever kind, the folder is of no use with it
        told = " ".join(str(error).split())[:200]
        raise UserError(f"transformers {version} cannot load what was written ({told})") from error
    found = difference(model.model, trial.rows, _logits_of(theirs))
    found.require_small(precision, f"transformers {version}")
    _require_same_ids(
        model.tokenizer,
        trial.texts,
        lambda text: tokenizer(text, add_special_tokens=False).input_ids,
    )
    for turns in trial.conversations:
        if _templated(tokenizer, turns) != chat_prompt(model.tokenizer, turns, 1 << 30):
            if model.tokenizer.normalises or not _has_marker(turns):
                raise UserError(f"the chat template has other ids for {turns!r:.80}: report this")
    count = len(trial.conversations)
    return [
        found.line(f"with transformers {version}"),
        f"checked     its tokenizer and chat template: {count:,} conversations, all ids equal",
    ]


def _logits_of(theirs: Any) -> Any:
    """Logits of a model of `transformers`, in float32, as `difference` asks for them."""
    import torch

    theirs = theirs.float().eval()

    def logits(row: Sequence[int]) -> Array:
        with torch.inference_mode():
            found: Array = theirs(torch.tensor([list(row)])).logits[0].numpy()
        return found.astype(np.float32)

    return logits


def _templated(tokenizer: Any, turns: Sequence[str]) -> list[int]:
    messages = [
        {"role": ("user", "assistant")[number % 2], "content": turn}
        for number, turn in enumerate(turns)
    ]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return list(tokenizer(text, add_special_tokens=False).input_ids)


def _has_marker(turns: Sequence[str]) -> bool:
    return any("<|" in normalised(turn) for turn in turns)
