"""Ids of a taught question in one of its forms, as chat would have them or in other tokens."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from vidya.generation.chat_tokens import plain_turn, turn_ids
from vidya.posttraining.rewording.chance import happens
from vidya.posttraining.rewording.form_names import FORMS
from vidya.posttraining.rewording.forms import reworded
from vidya.text.bpe_dropout import DroppingEncoder
from vidya.text.tokenizer import Tokenizer

BPE_DROPOUT = 0.1
"""Probability of a merge to be skipped (Provilkov et al. 2020), in half of the questions."""
TOKEN_DROPOUT = 0.1
"""Probability of each token that may go."""
_SMALL_WORDS = frozenset(b"a an the do does is are am to of any some please just so really".split())
"""Words that people leave out, and are understood."""


def reworded_ids(
    tokenizer: Tokenizer,
    question: str,
    rng: np.random.Generator,
    forms: Collection[str] = FORMS,
) -> list[int]:
    """Ids of one form of a question, as `chat_tokens.turn_ids` has those of a turn.

    With `bpe_dropout` half of them are in other tokens than chat's. With `token_dropout` some of
    the tokens that hold nothing but small words are left out.

    Args:
        tokenizer: of the model that is taught.
        question: as it is taught.
        rng: decides; the same state gives the same ids.
        forms: the names of those that may be used, of `FORMS`.
    """
    text = reworded(question, rng, forms)
    if "bpe_dropout" in forms and happens(rng, 0.5):
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
    """Whether a token is one or more small words as a whole, with the space behind them."""
    before = tokenizer.decode_bytes(ids[place - 1 : place])
    token = tokenizer.decode_bytes(ids[place : place + 1])
    found = token.lower().split()
    return (
        before.endswith(b" ")
        and token.endswith(b" ")
        and bool(found)
        and all(word in _SMALL_WORDS for word in found)
    )
