"""The bigger model: made of a trained one, and written to a folder of its own."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from vidya.errors import UserError
from vidya.model.config import ModelConfig, describe
from vidya.model.growth import NewBlocks, grow, require_growth, respell
from vidya.model.presets import checkpoint_base
from vidya.model.transformer import Model
from vidya.storage import checkpoint
from vidya.storage.checkpoint_format import read_digest
from vidya.storage.pretrained import Pretrained
from vidya.storage.run_folder import RunFolder
from vidya.text.tokenizer import Tokenizer
from vidya.text.vocabulary_match import Spelling, spell


@dataclass(frozen=True)
class BiggerModel:
    """A model that computes what a smaller one does."""

    small: Pretrained
    model: Model
    tokenizer: Tokenizer
    spelling: Spelling
    """Its vocabulary in the tokens of the smaller one's."""
    seed: int
    """Seed of the new weights that are random."""
    new_blocks: NewBlocks = "silent"
    """What the blocks are that it has more."""

    @property
    def same_tokenizer(self) -> bool:
        """Whether it has the tokenizer of the smaller one."""
        return self.tokenizer.hash == self.small.tokenizer.hash

    @property
    def same_function(self) -> bool:
        """Whether it computes what the smaller one does."""
        deeper = self.model.config.n_layer > self.small.model.config.n_layer
        return self.same_tokenizer and not (deeper and self.new_blocks == "stacked")

    def changes(self) -> list[str]:
        """Lines that say what is bigger, and where its embedding comes from."""
        old, new, spelling = self.small.model.config, self.model.config, self.spelling

        def change(before: int, after: int) -> str:
            return f"{before:,}" if before == after else f"{before:,} → {after:,}"

        rows = f"all {new.vocab_size:,} rows carried over: the same tokenizer"
        if not self.same_tokenizer:
            rows = (
                f"{spelling.carried:,} of {new.vocab_size:,} rows carried over by the token's "
                f"text, {spelling.composed:,} composed of the old tokens that spell it; "
                f"{spelling.left_behind:,} old rows left behind"
            )
        return [
            f"model       {change(old.n_embd, new.n_embd)} wide, "
            f"{change(old.n_layer, new.n_layer)} layers, {change(old.n_head, new.n_head)} heads, "
            f"context {change(old.context, new.context)}",
            f"parameters  {old.parameter_count():,} → {new.parameter_count():,}",
            f"embedding   {rows}",
        ]

    def write(self, folder: Path, preset: str) -> Path:
        """Write tokenizer and weights; returns the path of the weights."""
        origin, meta = self.small.checkpoint_path, self.small.meta
        about = {
            "kind": "expanded",
            "preset": preset,
            "config": describe(self.model.config),
            "step": 0,
            "tokens": 0,
            "seed": self.seed,
            "new_blocks": self.new_blocks,
            "tokenizer_hash": self.tokenizer.hash,
            "expanded_from": {
                "path": str(origin),
                "digest": read_digest(origin),
                **{name: meta.get(name) for name in ("preset", "config", "step", "tokens")},
            },
        }
        with RunFolder(folder) as run:
            # The weights last: a folder with weights in it is whole.
            self.tokenizer.save(run.tokenizer)
            path = run.checkpoint(checkpoint_base(preset))
            checkpoint.save(path, self.model.parameters, about)
        return path


def make_bigger(
    small: Pretrained, tokenizer: Tokenizer, config: ModelConfig, seed: int,
    new_blocks: NewBlocks = "silent",
) -> BiggerModel:  # fmt: skip
    """Grow a trained model to `config`, its embedding in the vocabulary of `tokenizer`.

    Raises:
        UserError: `config` is no bigger, or nothing that a model can be grown to.
    """
    old = small.model.config
    require_growth(old, config)
    if old == config and tokenizer.hash == small.tokenizer.hash:
        raise UserError(
            f"{small.checkpoint_path} has this size already: choose a bigger --preset, --n-embd, "
            "--n-layer or --context"
        )
    spelling, parameters = spell(small.tokenizer, tokenizer), small.model.parameters
    parameters = parameters | {"wte": respell(parameters["wte"], spelling.pieces)}
    old = dataclasses.replace(old, vocab_size=config.vocab_size)
    model = Model(config, precision=small.model.precision)  # the two are compared
    grown = grow(parameters, old, config, seed, new_blocks)
    for name, values in model.parameters.items():
        values[...] = grown.pop(name)  # so that there are never two whole copies
    return BiggerModel(small, model, tokenizer, spelling, seed, new_blocks)
