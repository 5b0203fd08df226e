"""A trained model with its tokenizer, loaded and checked against each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidya.errors import UserError
from vidya.model.config import ModelConfig
from vidya.storage.checkpoint_format import CheckpointError, CheckpointFile
from vidya.storage.find_model import Say, resolve_model, say_once
from vidya.storage.model_story import story
from vidya.system.atomic_file import StrPath

if TYPE_CHECKING:
    from vidya.model.transformer import Model
    from vidya.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Pretrained:
    """What a checkpoint and the tokenizer beside it make together."""

    model: Model
    tokenizer: Tokenizer
    meta: dict[str, Any]
    """The checkpoint's metadata: kind, preset, config, step, tokens, seed, …"""
    checkpoint_path: Path

    def describe(self, *more: str) -> str:
        """One line that says which model this is; `more` stands before its path."""
        meta, parameters = self.meta, self.model.config.parameter_count()
        words = [
            meta.get("preset", "model"), *story(self.checkpoint_path, meta),
            f"{parameters / 1e6:.1f} M parameters",
            f"after {meta.get('step', 0):,} steps", *more,
        ]  # fmt: skip
        return f"{', '.join(words)} ({self.checkpoint_path})"


def load_pretrained(
    path: StrPath | None = None, *, max_tokens: int | None = None, tell: Say = say_once
) -> Pretrained:
    """Load a model's weights (no optimizer state) and its tokenizer.

    Args:
        path: as `resolve_model` takes it.
        max_tokens: of the largest batch that it will be trained on; default: the context.
        tell: as for `resolve_model`.

    Raises:
        UserError: there is no model, or no tokenizer beside it.
        CheckpointError: it is damaged, or does not belong to that tokenizer.
    """
    checkpoint_path, tokenizer_path = resolve_model(path, tell=tell)
    with CheckpointFile(checkpoint_path) as file:
        # here, because the checkpoint is being verified meanwhile
        from vidya.model.transformer import Model
        from vidya.storage.checkpoint import is_weight, read_tensors
        from vidya.text.tokenizer import Tokenizer

        tokenizer = Tokenizer.load(tokenizer_path)
        config = _config(file.meta, checkpoint_path)
        if config.vocab_size != tokenizer.vocab_size:
            raise CheckpointError(
                f"{checkpoint_path} has a vocabulary of {config.vocab_size}, the tokenizer.json "
                f"beside it {tokenizer.vocab_size}: copy the one it was trained with there"
            )
        wanted = str(file.meta.get("tokenizer_hash", "unknown"))
        require_own_tokenizer(tokenizer, tokenizer_path, wanted, checkpoint_path.name)
        model = Model(config, max_tokens=max_tokens)
        if file.is_exported:
            tensors = _imported(read_tensors(file), file.meta, checkpoint_path)
        else:
            tensors = read_tensors(file, is_weight, into=model.parameters)
    _require_all(model, tensors, checkpoint_path)
    return Pretrained(model, tokenizer, file.meta, checkpoint_path)


def _imported(tensors: dict[str, Any], meta: dict[str, Any], path: Path) -> dict[str, Any]:
    from vidya.storage.exported_weights import GAINS, imported

    if GAINS not in meta:
        origin = (meta.get("origin") or {}).get("name", "a checkpoint")
        raise CheckpointError(
            f"{path} is laid out for other programs alone: use the model that it was made of "
            f"({origin}), or `python -m vidya.export --to hf`, which can be read again"
        )
    try:
        return imported(tensors, meta)
    except KeyError as error:
        raise CheckpointError(f"{path} lacks {error}: export the model again") from error


def _config(meta: dict[str, Any], path: Path) -> ModelConfig:
    try:
        return ModelConfig(**meta["config"])
    except (KeyError, TypeError, UserError) as error:
        raise CheckpointError(
            f"{path} does not say which model it holds ({error}): use another checkpoint"
        ) from error


def require_own_tokenizer(
    tokenizer: Tokenizer, path: Path, wanted_hash: str, checkpoint: str = "the checkpoint"
) -> None:
    """`CheckpointError` unless the tokenizer at `path` has the hash that a checkpoint names."""
    if tokenizer.hash != wanted_hash:
        raise CheckpointError(
            f"{path} is not the tokenizer that {checkpoint} was trained with: its hash is "
            f"{tokenizer.hash[:12]}, not {wanted_hash[:12]}: put that one back, or start another "
            "run"
        )


def _require_all(model: Model, tensors: dict[str, Any], path: Path) -> None:
    """The tensors must be the model's parameters, all of them and no more."""
    for name in sorted(model.shapes.keys() | tensors.keys()):
        there = tensors[name].shape if name in tensors else "absent"
        here = model.shapes.get(name, "absent")
        if there != here:
            raise CheckpointError(
                f"{path}: {name} should be {here} by its own description but is {there}: "
                "use another checkpoint"
            )
        if tensors[name] is not model.parameters[name]:  # another dtype
            model.parameters[name][...] = tensors[name]
