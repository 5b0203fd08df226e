"""Ids of a taught question in one of its forms, as chat would have them or in other tokens."""

from __future__ import annotations

from collections.abc import Collection, Container

import numpy as np

from vidya.generation.chat_tokens import plain_turn, turn_ids
from vidya.posttraining.rewording.form_names import FORMS
from vidya.posttraining.rewording.forms import reworded
from vidya.text.bpe_dropout import DroppingEncoder
from vidya.text.tokenizer import Tokenizer

BPE_DROPOUT = 0.3
"""Probability of a merge to be skipped at a step (Provilkov et al. 2020).

They take 0.1 for words. A turn is one piece here, with many more steps in which a skipped merge
comes up again: 0.1 changes a seventh of the questions, 0.3 half of them.
"""
TOKEN_DROPOUT = 0.1
"""Probability of each token that may go."""
_SMALL_WORDS = frozenset(b"a an the do does is are am to of any some please just so really".split())
"""Words that people leave out, and are understood."""


def reworded_ids(
    tokenizer: Tokenizer,
    question: str,
    rng: np.random.Generator,
    forms: Collection[str] = FORMS,
    *,
    avoid: Container[str] = frozenset(),
) -> list[int]:
    """Ids of one form of a question, as `chat_tokens.turn_ids` has those of a turn.

    With `bpe_dropout` about half of them are in other tokens than chat's. With `token_dropout`
    some of the tokens that hold nothing but small words are left out.

    Args:
        tokenizer: of the model that is taught.
        question: as it is taught.
        rng: decides; the same state gives the same ids.
        forms: the names of those that may be used, of `FORMS`.
        avoid: questions with answers of their own, as `reworded` takes them.
    """
    text = reworded(question, rng, forms, avoid=avoid)
    if "bpe_dropout" in forms:
        encoder = DroppingEncoder.of(tokenizer)
        ids = encoder.encode_text(plain_turn(tokenizer, text), BPE_DROPOUT, rng)
    else:
        ids = turn_ids(tokenizer, text)
    if "token_dropout" in forms and len(ids) > 4:
        ids = _thinned(tokenizer, ids, rng)
    return ids


def _thinned(tokenizer: Tokenizer, ids: list[int], rng: np.random.Generator) -> list[int]:
    """The ids without some of those that are small words; the first and the last stay."""
    dropped = rng.random(len(ids)) < TOKEN_DROPOUT
    kept = ids[:1]
    for place in range(1, len(ids) - 1):
        if not dropped[place] or not _may_go(tokenizer, ids, place):
            kept.append(ids[place])
    return [*kept, ids[-1]]


def _may_go(tokenizer: Tokenizer, ids: list[int], place: int) -> bool:
    """Whether a token is one or more small words as a whole, and a space is left without it."""
    before, token, after = (tokenizer.decode_bytes([i]) for i in ids[place - 1 : place + 2])
    found = token.lower().split()
    return (
        bool(found)
        and all(word in _SMALL_WORDS for word in found)
        and (
            (before.endswith(b" ") and token.endswith(b" "))
            or (token.startswith(b" ") and after.startswith(b" "))
        )
    )
