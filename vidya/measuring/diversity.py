"""How varied texts are: distinct n-grams and repetition, counted in words.

Words and not tokens, so that models with different tokenizers can be compared. What a word is,
in any script, says vidya/text/words.py; marks count, upper and lower case are the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from vidya.text.words import words as words_as_they_stand


def words(text: str) -> list[str]:
    """The words and marks of a text, in lower case."""
    return words_as_they_stand(text.lower())


def distinct(texts: Sequence[Sequence[str]], n: int) -> float | None:
    """distinct-n: the different n-grams of all texts together, over their words.

    Li et al. (2016), "A Diversity-Promoting Objective Function for Neural Conversation
    Models". It falls as texts are added: compare figures of as many replies to the same
    prompts. None where there is no word.
    """
    total = sum(map(len, texts))
    different = {gram for text in texts for gram in _ngrams(text, n)}
    return len(different) / total if total else None


def repetition(texts: Sequence[Sequence[str]], n: int) -> float | None:
    """seq-rep-n: the share of a text's n-grams that repeat an earlier one of it, averaged.

    Welleck et al. (2020), "Neural Text Generation with Unlikelihood Training". Texts of
    fewer than n words have no n-gram and do not count. None where none counts.
    """
    every = [grams for text in texts if (grams := _ngrams(text, n))]
    shares = [1 - len(set(grams)) / len(grams) for grams in every]
    return sum(shares) / len(shares) if shares else None


def _ngrams(text: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(text[i : i + n]) for i in range(len(text) - n + 1)]
