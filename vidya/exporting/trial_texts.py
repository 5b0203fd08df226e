"""What an exported model is tried on: texts, conversations, and ids up to the whole context."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidya.errors import UserError
from vidya.measuring.held_out_text import HeldOutTextSource
from vidya.storage.pretrained import Pretrained
from vidya.text.conversation_format import ASSISTANT, USER, turns_of
from vidya.training.samples import PROMPTS

TEXTS = 200
"""Texts of the model's own at most."""
ROWS = 2
"""Runs of token ids, each as long as the context."""
_HARD = (
    "In 1984 he paid $1,250.50 for 3/4 of it",
    "a  wide   gap\tand a tab\n    if x:\n        y = 1\n\n\nthe end",
    f"who said {USER} hello {ASSISTANT} here? <|bos|>",
    "I\u2019m at the \u201ccafe\u0301\u201d\u00a0now\ufeff — 日本語 🙂👍🏽 \u200bнет",
    "   ",
    "",
)
"""Texts in which a tokenizer or a template is easily wrong."""


@dataclass(frozen=True)
class TrialTexts:
    """What to try a model on."""

    texts: list[str]
    """Documents in the form of a corpus, and texts that are hard."""
    conversations: list[list[str]]
    """Turns, the user's first and last."""
    rows: list[list[int]]
    """Token ids."""

    @classmethod
    def of(cls, model: Pretrained) -> TrialTexts:
        """Of what the model's run held out, as far as that is beside the model."""
        tokenizer, size = model.tokenizer, ROWS * model.model.config.context
        texts = [f"{USER} {prompt} {ASSISTANT} I am." for prompt in PROMPTS]
        ids = np.random.default_rng(0).integers(0, tokenizer.vocab_size, size)
        try:
            held_out = HeldOutTextSource(None, size).of(model)
        except UserError:
            pass
        else:
            some = range(min(held_out.documents, TEXTS))
            texts += [tokenizer.decode(held_out.document(n)[1:-1].tolist()) for n in some]
            ids[: len(held_out.tokens)] = held_out.tokens[:size]
        turns = [found for found in map(turns_of, texts) if found is not None]
        odd = [one[: len(one) - 1 + len(one) % 2] for one in turns]
        hard = [list(_HARD[begin : begin + 3]) for begin in range(len(_HARD) - 2)]
        rows = [row.tolist() for row in np.split(ids, ROWS)]
        return cls([*texts, *_HARD], [*odd, *hard], rows)
