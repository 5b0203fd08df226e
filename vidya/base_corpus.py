"""The corpus that a model was trained on, as its run folder still has it.

For replay against forgetting, and to measure how much was forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vidya.batches import BatchPlan
from vidya.errors import UserError
from vidya.token_cache import TokenCache
from vidya.tokenizer import Tokenizer


@dataclass(frozen=True)
class BaseCorpus:
    """Token caches of a run folder."""

    train: TokenCache
    held_out: TokenCache | None
    """None when the run held nothing out."""

    def replay(self, context: int, seed: int) -> BatchPlan:
        """Windows of the training corpus in an order that the seed decides, one a step."""
        return BatchPlan(self.train, context, docs_per_step=1, seed=seed)


def open_base_corpus(folder: Path, tokenizer: Tokenizer) -> BaseCorpus | None:
    """The caches that lie in a run folder; None if the training cache is not there.

    Raises:
        UserError: a cache is damaged, or of another tokenizer.
    """
    train, held_out = (folder / f"{split}.tokens" for split in ("train", "val"))
    if not train.exists():
        return None
    return BaseCorpus(
        _open(train, tokenizer), _open(held_out, tokenizer) if held_out.exists() else None
    )


def _open(path: Path, tokenizer: Tokenizer) -> TokenCache:
    cache = TokenCache.open(path)
    if cache.tokenizer_hash != tokenizer.hash:
        raise UserError(f"{path} is of another tokenizer than the model: delete it")
    return cache
