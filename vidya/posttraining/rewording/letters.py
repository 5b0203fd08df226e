"""The letters and marks of a question: case, final marks, letters stretched, typing mistakes."""

from __future__ import annotations

import re

import numpy as np

from vidya.posttraining.rewording.chance import Weighted, happens, one_of
from vidya.posttraining.rewording.common_words import COMMON_WORDS
from vidya.posttraining.rewording.sentence import asks, is_greeting, parted

_CASES = Weighted(("small", 0.46), ("first", 0.49), ("capitals", 0.03), ("titles", 0.02))
_QUESTION_ENDS = Weighted(
    ("?", 0.40), ("", 0.32), ("??", 0.08), (" ?", 0.06), (".", 0.04), ("!", 0.02), ("???", 0.03),
    ("?!", 0.02), ("..", 0.015), ("...", 0.015),
)  # fmt: skip
_PLAIN_ENDS = Weighted(("?", 0.75), ("??", 0.12), (" ?", 0.08), ("???", 0.05))
"""Where the words alone are no question: you like rain?"""
_OTHER_ENDS = Weighted(
    ("", 0.45), (".", 0.25), ("!", 0.18), ("!!", 0.05), ("...", 0.04), (" !", 0.03)
)
_FOREIGN_ENDS = Weighted(("same", 0.5), ("none", 0.3), ("twice", 0.2))
_MISTAKES = Weighted(("swap", 0.38), ("drop", 0.28), ("double", 0.14), ("near", 0.20))
_PLAIN_ORDER = re.compile(
    r"(?:[\w' ]+, )?(?:(?:hey|hi|hello|so|ok|btw|um+|hmm|and|yo) )*(?:you|u|ya)\b", re.IGNORECASE
)
_LONE_I = re.compile(r"\bi(?=$|\s|'(?:m|ve|ll|d)\b)")
_SENTENCE_START = re.compile(r"(?:^|[.!?]\s+)([^\W\d_])")
_COMMA = re.compile(r",(?=\s)")
_TYPED_WORD = re.compile(r"(?<![\w'@#/.|<-])[A-Za-z][a-z]{3,}(?![\w'@/-])")
_STRETCHED = re.compile(r"([aeiouy])(\W*)$|(?<=[a-z])([yosh])(\W*)$", re.IGNORECASE)
_GOOD = re.compile(r"\b(goo)(?=d )", re.IGNORECASE)
_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {
    key: "".join(
        line[near]
        for line, near in (
            (row, place - 1), (row, place + 1), (above, place), (above, place + 1),
            (below, place - 1), (below, place),
        )
        if 0 <= near < len(line)
    )
    for row, above, below in zip(_KEYS, ("", *_KEYS), (*_KEYS[1:], ""), strict=False)
    for place, key in enumerate(row)
}  # fmt: skip
_NEVER_MISTYPED = frozenset(
    """what when where which whose whats whens wheres whos hows does
    never none nothing nobody neither without cannot dont cant wont
    didnt doesnt isnt arent wasnt mine yours they them their your
    three four five seven eight nine eleven twelve hundred thousand""".split()
)
"""Words that carry a question's meaning: what is asked for, negation, persons, numbers."""


def other_case(text: str, rng: np.random.Generator) -> str:
    """The text in small letters, with a large first letter, or now and then in capitals."""
    kind = _CASES.draw(rng)
    if kind == "small":
        return _if_same(text, text.lower())
    if kind == "capitals":
        return _if_same(text, text.upper())
    if kind == "titles" and text.isascii():
        return " ".join(word[:1].upper() + word[1:] for word in text.split(" "))
    large = _SENTENCE_START.sub(lambda found: found[0][:-1] + found[1].upper(), text)
    return _if_same(text, _LONE_I.sub("I", large) if text.isascii() else large)


def _if_same(text: str, changed: str) -> str:
    """The changed text, unless a letter of some script did not only change its case."""
    same = len(changed) == len(text) and changed.casefold() == text.casefold()
    return changed if same else text


def other_marks(text: str, rng: np.random.Generator) -> str:
    """The text with another ending: none, `?`, `??`, ` ?`, …; commas may go.

    A statement gets no question mark. Where a script has marks of its own they stay, or go.
    """
    part = parted(text)
    if not part.core:
        return text
    mark = part.end.strip()
    if not text.isascii() and (not mark.isascii() or not mark):
        ends = {"same": part.end, "none": "", "twice": mark[:1] * 2}
        return part.before + part.core + ends[_FOREIGN_ENDS.draw(rng)]
    core = part.core
    if happens(rng, 0.4):
        core = _COMMA.sub("", core)
    if not asks(text):
        ending = _OTHER_ENDS
    else:
        ending = _PLAIN_ENDS if _PLAIN_ORDER.match(core) else _QUESTION_ENDS
    return part.before + core + ending.draw(rng)


def stretched(text: str, rng: np.random.Generator) -> str:
    """A greeting with its last letter held: `hiii`, `helloo`, `heyy`. Nothing else changes."""
    if not is_greeting(text) or not text.isascii():
        return text
    if (good := _GOOD.search(text)) and happens(rng, 0.6):
        return text[: good.end(1)] + good[1][-1] * (1 + int(rng.random() * 3)) + text[good.end(1) :]
    found = _STRETCHED.search(text)
    word = re.search(r"[A-Za-z]+(?=\W*$)", text)
    if found is None or word is None or word[0].lower() not in _STRETCHABLE:
        return text
    letter = found[1] or found[3]
    more = 1 + int(rng.random() * 3)
    return text[: found.start()] + letter * (1 + more) + (found[2] or found[4] or "")


_STRETCHABLE = frozenset(
    "hi hey hello hiya yo hallo bye goodbye byebye yes no so wow ya yay".split()
)


def mistyped(text: str, rng: np.random.Generator) -> str:
    """The text with a typing mistake in one word, or now and then in two.

    A letter is left out, doubled, swapped with the next, or a neighbour on the keyboard. Words of
    fewer than four letters, names within a sentence, and words that carry the meaning are spared,
    and none becomes another common word.
    """
    places = [
        found
        for found in _TYPED_WORD.finditer(text)
        if found[0].lower() not in _NEVER_MISTYPED and (found[0][0].islower() or found.start() == 0)
    ]
    if not places:
        return text
    chosen = {one_of(rng, places) for _ in range(2 if happens(rng, 0.15) else 1)}
    for found in sorted(chosen, key=lambda match: -match.start()):  # from the end: places stay
        text = text[: found.start()] + _mistake(found[0], rng) + text[found.end() :]
    return text


def _mistake(word: str, rng: np.random.Generator) -> str:
    for _ in range(4):
        kind = _MISTAKES.draw(rng)
        at = 1 + int(rng.random() * (len(word) - 1))  # the first letter is hardly ever mistyped
        if kind == "swap":
            at = min(at, len(word) - 2)
            wrong = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        elif kind == "drop":
            if len(word) < 5 or at == len(word) - 1:
                continue  # nobody could tell what was meant
            wrong = word[:at] + word[at + 1 :]
        elif kind == "double":
            wrong = word[:at] + word[at] + word[at:]
        else:
            wrong = word[:at] + one_of(rng, _NEIGHBOURS[word[at]]) + word[at + 1 :]
        if wrong != word and wrong.lower() not in COMMON_WORDS:
            return wrong
    return word
