"""Openings and endings: hey, …; can you tell me …, with the words in the order that it wants."""

from __future__ import annotations

import re

import numpy as np

from vidya.posttraining.rewording import opening_table as table
from vidya.posttraining.rewording.chance import happens
from vidya.posttraining.rewording.contractions import in_full
from vidya.posttraining.rewording.sentence import (
    asks,
    parted,
    with_capital_of,
    without_capital,
    words,
)

_BE, _MODAL = "is|are|was|were|am", "can|could|will|would|should|must"
_WH = r"(?:what|who|where|when|why|how|which|whose)"
_PRONOUN = "you|i|he|she|it|we|they|this|that|u"
_KIND = (
    r"(?:(?: (?:old|tall|big|long|far|much|often|good|well|many|kind of|sort of|type of))?"
    r"(?: [a-z]+)?)?"
)
_WH_PRONOUN = re.compile(
    rf"({_WH}{_KIND}) ({_BE}|{_MODAL}|have|has|had) ({_PRONOUN})\b(?! not\b)(.*)", re.IGNORECASE
)
_WH_NOUN = re.compile(
    r"((?:what|who|where|when|how)(?: (?:old|tall|big|long|far))?) (is|are|was|were) "
    r"((?:your|my|his|her|our|their|the) [a-z' -]+?)((?: (?:today|now|again|then|there|tonight))?)",
    re.IGNORECASE,
)
_WHY_NOUN = re.compile(r"(why) (is|are) ((?:the|your|my) [a-z]+) ([a-z' -]+)", re.IGNORECASE)
_WH_DO = re.compile(rf"({_WH}{_KIND}) do (you|i|we|they|people|u)\b(?! not\b)(.*)", re.IGNORECASE)
_WHO_DID = re.compile(
    r"(?:who|what) (?!is\b|are\b|was\b|were\b|do\b|does\b|did\b)[a-z]+(?:s|ed|ade|uilt|rote)\b.*",
    re.IGNORECASE,
)
_DO = re.compile(r"do (you|i|we|they|people|u)\b(?! not\b)(.*)", re.IGNORECASE)
_BE_FIRST = re.compile(
    rf"({_BE}|can|have|has) (you|i|he|she|we|they|u)\b(?! not\b)(.*)", re.IGNORECASE
)
_NEGATED = re.compile(r"\b(?:not|never)\b|n't", re.IGNORECASE)
_PLEASE = re.compile(r"\b(?:please|pl[sz])\b", re.IGNORECASE)
_TOLD = re.compile(r"\b(?:tell|telling|ask|know|wonder|wondering|curious)\b", re.IGNORECASE)
"""Words of an opening that asks politely already."""
_OPENED = frozenset("hi hey hello yo so well ok okay please and but oh hmm um".split())


def with_opening(text: str, rng: np.random.Generator) -> str:
    """The text behind a few words: hey, …; i want to know …. One that begins so stays."""
    part = parted(text)
    first = (words(part.core) or [""])[0]
    if not first or part.before or first in _OPENED:
        return text
    if first in table.REQUESTS:
        return _behind(table.REQUEST_OPENINGS.draw(rng), part.core) + part.end
    if not asks(text):
        return _behind(table.STATEMENT_OPENINGS.draw(rng), text)
    if happens(rng, 0.45) and (statement := as_statement(part.core)):
        opening = table.INDIRECT.draw(rng)
        asked = opening.strip().endswith(("me", "ask", "know")) and "can " in opening
        return _behind(opening, statement, part.core) + (
            part.end if asked or happens(rng, 0.3) else ""
        )
    if happens(rng, 0.3) and asks(part.core):
        return _behind(table.QUESTION_OPENINGS.draw(rng), text)
    return _behind(table.OPENINGS.draw(rng), text)


def with_ending(text: str, rng: np.random.Generator) -> str:
    """The text with a few words after it: …, my friend?"""
    part = parted(text)
    if not part.core:
        return text
    told = bool(_TOLD.search(part.core))
    asked = asks(text) or told
    if asked and happens(rng, 0.4):
        end = "" if happens(rng, 0.6) else part.end
        return part.before + part.core + end + table.TAILS.draw(rng)
    if asked and not told and happens(rng, 0.3):
        ending = table.QUESTION_ENDINGS.draw(rng)
    elif asked or part.core.split(" ")[0].lower() in table.REQUESTS:
        ending = table.ENDINGS.draw(rng)
    else:
        ending = table.STATEMENT_ENDINGS.draw(rng)
    if "please" in ending and _PLEASE.search(part.core):
        return text
    return part.before + part.core + (ending.upper() if part.core.isupper() else ending) + part.end


def as_statement(question: str) -> str:
    """A question's words as they stand behind `tell me`; nothing if they are not known to.

    what is your name → what your name is; where do you live → where you live; do you like rain →
    if you like rain.
    """
    core = in_full(question)
    if _NEGATED.search(core):
        return ""
    if found := _WH_PRONOUN.fullmatch(core):
        asked, verb, who, rest = found.groups()
        return f"{asked} {who} {verb.lower()}{rest}"
    if found := _WH_DO.fullmatch(core):
        asked, who, rest = found.groups()
        return f"{asked} {who}{rest}"
    if (found := _WH_NOUN.fullmatch(core)) and len(found[3].split()) < 5:
        return f"{found[1]} {found[3]} {found[2].lower()}{found[4]}"
    if found := _WHY_NOUN.fullmatch(core):
        return f"{found[1]} {found[3]} {found[2].lower()} {found[4]}"
    if _WHO_DID.fullmatch(core):
        return core
    if found := _DO.fullmatch(core):
        return f"if {found[1]}{found[2]}"
    if found := _BE_FIRST.fullmatch(core):
        return f"if {found[2]} {found[1].lower()}{found[3]}"
    return ""


def _behind(opening: str, text: str, pattern: str = "") -> str:
    """A text behind an opening, which begins with a capital as the text did, or a pattern."""
    return with_capital_of(pattern or text, opening) + without_capital(text)
