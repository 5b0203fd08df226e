"""What a model says at some bits per byte, in words, with replies that were measured.

The models were trained on English chat text; other text differs.
"""

from __future__ import annotations

import math

_SAYS = (
    (1.75, "short sentences in the tone of a chat; it takes its turn and seldom answers what was "
     "asked (“do you have any pets?” “good question, how's your favorite food?”)"),
    (2.05, "short phrases in the tone of a chat, with little sense (“how are you?” “good good”)"),
    (2.6, "words and half words in no order that makes sense (“a rest , but you try you sl”)"),
    (math.inf, "letters and bits of words (“hahabut I”)"),
)  # fmt: skip
"""What a model says at most so many bits per byte of unseen text."""


def what_it_says(bits: float) -> str:
    """What a model of so many bits per byte says."""
    return next(words for most, words in _SAYS if bits <= most)
