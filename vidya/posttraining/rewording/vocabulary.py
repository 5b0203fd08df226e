"""Other words and spellings for those of a question: movie ↔ film, colour ↔ color, you → u."""

from __future__ import annotations

import re

import numpy as np

from vidya.posttraining.rewording.chance import happens
from vidya.posttraining.rewording.close_word_table import CLOSE_WORDS, LIKED_ACTIONS
from vidya.posttraining.rewording.shorthand_table import (
    AT_LENGTH,
    SHORTHAND,
    VERBS_AFTER_GONNA,
)
from vidya.posttraining.rewording.spelling_table import MISSPELT, SPELLINGS
from vidya.posttraining.rewording.word_table import WordTable, with_right_articles

_CLOSE = WordTable.of_groups((*CLOSE_WORDS, *LIKED_ACTIONS))
_WOULD = re.compile(r"\b(?:would|'d)\b", re.IGNORECASE)
_SPELT = WordTable.of_groups(SPELLINGS)
_MISSPELT = WordTable(MISSPELT)
_SHORT = WordTable(SHORTHAND)
_LONG = WordTable(AT_LENGTH)
_GOING_TO = re.compile(
    rf"\bgoing to (?=(?:{'|'.join(sorted(VERBS_AFTER_GONNA))})\b)", re.IGNORECASE
)


def close_words(text: str, rng: np.random.Generator) -> str:
    """The text with some words of the same meaning."""
    if _WOULD.search(text):
        return text  # would you like to dance is no question about liking
    changed = _CLOSE.replaced(text, rng, 0.7)
    return text if changed == text else with_right_articles(changed)


def other_spelling(text: str, rng: np.random.Generator) -> str:
    """The text in other spellings: British or American, or as many people misspell it."""
    text = _SPELT.replaced(text, rng, 0.7)
    return _MISSPELT.replaced(text, rng, 0.5) if happens(rng, 0.15) else text


def shorthand(text: str, rng: np.random.Generator) -> str:
    """The text as it is typed on a phone; shorthand that it has may be written out."""
    if happens(rng, 0.3) and (longer := _LONG.replaced(text, rng, 0.8)) != text:
        return longer
    text = _GOING_TO.sub(lambda found: "gonna " if happens(rng, 0.6) else found[0], text)
    return _SHORT.replaced(text, rng, 0.6)
