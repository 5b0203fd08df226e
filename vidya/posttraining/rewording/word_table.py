"""Tables of words that may stand for one another, found in a text in one pass."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from vidya.posttraining.rewording.chance import happens, one_of
from vidya.posttraining.rewording.sentence import with_capital_of

_LETTERS = re.compile(r"[^\W_]+")
_ARTICLE = re.compile(r"\b([Aa])(n?) (?=([a-z]))", re.IGNORECASE)
_SOUNDS_LIKE_A_VOWEL = re.compile(r"(?!uni|use|usu|one|eu)[aeiou]|hour|honest", re.IGNORECASE)


class WordTable:
    """What may be said for words and phrases; whole words alone are found, in any case."""

    def __init__(self, instead: Mapping[str, Sequence[str]]) -> None:
        self._instead = {key: tuple(others) for key, others in instead.items()}
        longest_first = sorted(self._instead, key=lambda key: (-len(key), key))
        self._first_words = frozenset(_LETTERS.match(key)[0] for key in self._instead)  # type: ignore[index]
        alternatives = "|".join(map(re.escape, longest_first))
        self._pattern = re.compile(rf"(?<![\w'-])(?:{alternatives})(?![\w'-])", re.IGNORECASE)

    @staticmethod
    def of_groups(groups: Sequence[Sequence[str]]) -> WordTable:
        """The table in which each member of a group may stand for every other."""
        instead: dict[str, list[str]] = {}
        for group in groups:
            for word in group:
                instead.setdefault(word, []).extend(w for w in group if w != word)
        return WordTable(instead)

    def __contains__(self, key: str) -> bool:
        return key in self._instead

    def replaced(self, text: str, rng: np.random.Generator, share: float) -> str:
        """The text with a share of what is found replaced, the same words by the same ones."""
        if self._first_words.isdisjoint(_LETTERS.findall(text.lower())):
            return text  # this costs a twentieth of the search
        chosen: dict[str, str | None] = {}

        def other(found: re.Match[str]) -> str:
            key = found[0].lower()
            if key not in chosen:
                chosen[key] = one_of(rng, self._instead[key]) if happens(rng, share) else None
            choice = chosen[key]
            return found[0] if choice is None else with_capital_of(found[0], choice)

        return self._pattern.sub(other, text)


def with_right_articles(text: str) -> str:
    """The text with `a` and `an` as the words behind them want it."""

    def right(found: re.Match[str]) -> str:
        rest = text[found.end() : found.end() + 8]
        return found[1] + ("n " if _SOUNDS_LIKE_A_VOWEL.match(rest) else " ")

    return _ARTICLE.sub(right, text)
