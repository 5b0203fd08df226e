"""A trained model with its tokenizer, and the form in which the two converse.

A conversation is laid out as the corpus has it (vidya/corpus.py): each turn is its
marker, a space, the text and a space, so a prompt is tokenised exactly as training
data is. The text of a turn is always encoded as plain text: a marker that someone
types, or that a model spells out, does not become a marker.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidya.checkpoint import CheckpointError, is_weight, load
from vidya.config import ModelConfig
from vidya.errors import UserError
from vidya.run_folder import resolve_model
from vidya.tokenizer import Tokenizer

if TYPE_CHECKING:
    from vidya.model import Model


@dataclass(frozen=True)
class Pretrained:
    """What a checkpoint and the tokenizer beside it make together."""

    model: Model
    tokenizer: Tokenizer
    meta: dict[str, Any]
    """The checkpoint's metadata: kind, preset, config, step, tokens, seed, …"""
    checkpoint_path: Path


def load_pretrained(path: str | os.PathLike[str] | None = None) -> Pretrained:
    """Load a model's weights (no optimizer state) and its tokenizer.

    Args:
        path: a checkpoint, a run folder, or None for the newest run.

    Raises:
        UserError: there is no model, or no tokenizer beside it.
        CheckpointError: it is damaged, or does not belong to that tokenizer.
    """
    checkpoint_path, tokenizer_path = resolve_model(path)
    tokenizer = Tokenizer.load(tokenizer_path)
    tensors, meta = load(checkpoint_path, names=is_weight)
    config = _config(meta, checkpoint_path)
    _require_tokenizer(meta, config, tokenizer, checkpoint_path)
    return Pretrained(_model(config, tensors, checkpoint_path), tokenizer, meta, checkpoint_path)


def _config(meta: dict[str, Any], path: Path) -> ModelConfig:
    try:
        return ModelConfig(**meta["config"])
    except (KeyError, TypeError, UserError) as error:
        raise CheckpointError(
            f"{path} does not say which model it holds ({error}): use another checkpoint"
        ) from error


def _require_tokenizer(
    meta: dict[str, Any], config: ModelConfig, tokenizer: Tokenizer, path: Path
) -> None:
    if config.vocab_size != tokenizer.vocab_size:
        raise CheckpointError(
            f"{path} has a vocabulary of {config.vocab_size}, the tokenizer.json beside it "
            f"{tokenizer.vocab_size}: copy the one it was trained with there"
        )
    if meta.get("tokenizer_hash") != tokenizer.hash:
        raise CheckpointError(
            f"{path} was trained with tokenizer {meta.get('tokenizer_hash', 'unknown')}, beside "
            f"it is {tokenizer.hash}: copy the tokenizer.json it was trained with there"
        )


def _model(config: ModelConfig, tensors: dict[str, Any], path: Path) -> Model:
    """The model with the tensors as its parameters, which must be all of them and no more."""
    from vidya.model import Model, parameter_shapes

    shapes = parameter_shapes(config)
    for name in sorted(shapes.keys() | tensors.keys()):
        there = tensors[name].shape if name in tensors else "absent"
        here = shapes.get(name, "absent")
        if there != here:
            raise CheckpointError(
                f"{path}: {name} should be {here} by its own description but is {there}: "
                "use another checkpoint"
            )
    model = Model(config)
    for name, values in model.parameters.items():
        values[...] = tensors.pop(name)  # so that there are never two whole copies
    return model


# ---- conversation ------------------------------------------------------------------


def chat_prompt(tokenizer: Tokenizer, turns: Sequence[str], limit: int) -> list[int]:
    """Ids of a conversation up to the marker after which the model's reply comes.

    Whitespace in a turn becomes single spaces, as in the corpus. When the ids are too
    many, the oldest exchanges are left out, then the beginning of the last message.

    Args:
        tokenizer: the model's.
        turns: texts, the user's and the model's in turn; the last one is the user's.
        limit: ids wanted at most; the three markers around the last message stay.

    Raises:
        ValueError: the last turn is not the user's.
    """
    if len(turns) % 2 == 0:
        raise ValueError("the last turn must be the user's")
    markers = tokenizer.user_id, tokenizer.assistant_id
    *earlier, message = (tokenizer.encode_text(f" {' '.join(turn.split())} ") for turn in turns)
    room = max(0, limit - 3)
    message = message[max(0, len(message) - room) :]
    ids = [tokenizer.user_id, *message, tokenizer.assistant_id]
    for number in reversed(range(0, len(earlier), 2)):
        exchange = [
            token
            for marker, text in zip(markers, earlier[number : number + 2], strict=True)
            for token in (marker, *text)
        ]
        if 1 + len(exchange) + len(ids) > limit:
            break
        ids = exchange + ids
    return [tokenizer.bos_id, *ids]


def stream_text(tokenizer: Tokenizer, ids: Iterable[int]) -> Iterator[str]:
    """The text of a reply, in pieces as its tokens come, without the space around it.

    A character is passed on when all its bytes are there. Bytes that are no UTF-8
    become U+FFFD. The pieces together are `tokenizer.decode(ids).strip()`.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    begun, held = False, ""  # held: space that may turn out to be the last
    for token in ids:
        text = held + decoder.decode(tokenizer.decode_bytes([token]))
        if not begun:
            text = text.lstrip()
        piece = text.rstrip()
        held = text[len(piece) :]
        if piece:
            begun = True
            yield piece
    if cut := decoder.decode(b"", final=True):
        yield held + cut
