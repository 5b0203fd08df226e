"""Contractions made and undone: what is ↔ what's ↔ whats, do not ↔ don't ↔ dont."""

from __future__ import annotations

import re

import numpy as np

from vidya.posttraining.rewording.chance import happens, one_of
from vidya.posttraining.rewording.contraction_table import CONTRACTIONS
from vidya.posttraining.rewording.sentence import with_capital_of

_SPELLINGS = {spelling: three for three in CONTRACTIONS for spelling in three}
_ONE_WAY = frozenset(("its", "lets", "whens", "let us"))
"""These may be other words, or stiff, and stay as they are."""
_PERSON = re.compile(r"\s+(?:i|you|u|ya|he|she|it|we|they|people|your|my)\b", re.IGNORECASE)
_PATTERN = re.compile(
    r"(?<![\w'])(?:" + "|".join(sorted(_SPELLINGS, key=lambda s: (-len(s), s))) + r")(?![\w'-])",
    re.IGNORECASE,
)
_QUESTION_WORD_BEFORE = re.compile(
    r"\b(?:what|who|where|when|how|why|which|whose)\b[^.,!?]*$", re.IGNORECASE
)
_NOT_AFTER_SHORT = re.compile(
    r"\s*(?:[^\w\s]|$)|\s+(?:it|he|she|that|this|you|they)\b\W*$", re.IGNORECASE
)
_HAS_BEEN = re.compile(
    r"\s+(?:been|got|gone|done|become|had|made|taken|happened|changed|never|ever)\b", re.IGNORECASE
)
_PERSONS = frozenset("i you he she it we they that there".split())


def in_full(text: str) -> str:
    """The text with its contractions undone: what's and whats → what is."""

    def full(found: re.Match[str]) -> str:
        spelling = found[0].lower()
        full, short, _ = _SPELLINGS[spelling]
        after = text[found.end() :]
        if spelling in _ONE_WAY or _is_has(spelling, after):
            return found[0]
        return _cased(found[0], short if _is_before_person(full, after) else full)

    return _PATTERN.sub(full, text.replace("’", "'"))


def other_contractions(text: str, rng: np.random.Generator) -> str:
    """The text with its contractions, and what may be contracted, written another way."""
    plain = text.replace("’", "'")

    def other(found: re.Match[str]) -> str:
        spelling = found[0].lower()
        if spelling in _ONE_WAY or happens(rng, 0.15):
            return found[0]
        full, short, bare = _SPELLINGS[spelling]
        after = plain[found.end() :]
        if spelling == full and not _may_be_short(full, plain[: found.start()], after):
            return found[0]
        if _is_has(spelling, after) or _is_before_person(full, after):
            choices = [short, bare]
        else:
            choices = [full, short, short, bare]
        return _cased(found[0], one_of(rng, [c for c in choices if c != spelling] or choices))

    return _PATTERN.sub(other, plain)


def _may_be_short(full: str, before: str, after: str) -> bool:
    """Whether words may be contracted where they stand: not `I know what it is`."""
    first, second = full.split(" ") if " " in full else (full, "")
    if second == "not" or full == "cannot":
        # `do not you` is no English; `are not` after a person may become `aren't`.
        return True
    if first in _PERSONS:
        if second == "have" and not _HAS_BEEN.match(after):
            return False  # I have a dog: have is no helper here
        return not _QUESTION_WORD_BEFORE.search(before) and not _NOT_AFTER_SHORT.match(after)
    return not _NOT_AFTER_SHORT.match(after)


def _is_has(spelling: str, after: str) -> bool:
    """Whether an 's stands for has: `what's happened`."""
    return spelling.endswith(("'s", "s")) and " " not in spelling and bool(_HAS_BEEN.match(after))


def _is_before_person(full: str, after: str) -> bool:
    """Whether a negation cannot be undone: don't you is never do not you."""
    return full.endswith("not") and bool(_PERSON.match(after))


def _cased(pattern: str, text: str) -> str:
    if text.startswith("i") and (text[1:2] in (" ", "'")) and pattern[0] == "I":
        return "I" + text[1:]
    return with_capital_of(pattern, text)
