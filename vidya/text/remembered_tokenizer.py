"""Tokenizers of earlier runs on the same text, kept in the user's cache folder."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import vidya
from vidya.system import user_cache
from vidya.text.tokenizer import Tokenizer
from vidya.text.tokenizer_training import RECIPE, TRAINING_BYTES, digits_setting


def remembered_tokenizer(
    corpus_hash: str,
    merges: int,
    train: Callable[[], Tokenizer],
    say: Callable[[str], None],
    *,
    split_digits: bool = True,
) -> Tokenizer:
    """The tokenizer that `train` made for this text and these settings before, or makes now.

    Args:
        corpus_hash: of the documents that it is trained on, in their order.
        merges: that `train` asks for.
        train: makes one; the same text and settings give the same bytes.
        say: takes a line that tells that one was found.
        split_digits: whether the one that `train` makes cuts numbers off.
    """
    key: dict[str, Any] = {
        "corpus_hash": corpus_hash, "merges": merges, "recipe": RECIPE, "bytes": TRAINING_BYTES,
        "vidya": vidya.__version__, "tokenizers": version("tokenizers"),
        **digits_setting(split_digits=split_digits),
    }  # fmt: skip
    kept = user_cache.recall("tokenizers", key)
    if kept is not None:
        try:
            found = Tokenizer(kept.decode("utf-8"))
        except ValueError:  # whole, but none of ours
            pass
        else:
            say(f"tokenizer with {merges:,} merges: kept from an earlier run on the same text")
            return found
    tokenizer = train()
    user_cache.remember("tokenizers", key, tokenizer.json_text.encode("utf-8"))
    return tokenizer
