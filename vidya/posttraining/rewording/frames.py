"""Whole questions asked another way: do you like rain? ↔ are you a fan of rain?"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from vidya.posttraining.rewording.chance import one_of
from vidya.posttraining.rewording.contractions import in_full
from vidya.posttraining.rewording.frame_table import FRAMES
from vidya.posttraining.rewording.sentence import asks, parted, with_capital_of

_SLOTS = {
    "{x}": r"(?P<x>(?!not\b)[\w'’-]+(?: [\w'’-]+){0,4})",
    "{v}": r"(?P<v>(?!not\b)[\w'’-]+(?: [\w'’-]+){0,7})",
    "{favourite}": r"(?P<favourite>favou?rite|fav|fave)",
}
_SLOT = re.compile(r"(\{\w+\})")
_NOT_A_THING = re.compile(
    r"\b(?:me|him|her|it|them|us|this|that|you|yourself|myself|to|do|does|did|are|is|am|was|were|have|has|"
    r"or|than|when|if|because|why|how|what|who|where|which|not|never|n't|be|as|more|better|i|u)\b",
    re.IGNORECASE,
)
"""What {x} must not have in it: it would be no plain thing, and the other ways no English."""
_SMALL_THING = re.compile(r"(?:about|of|in|for|with|at|on|and)\b|\s.*\s.*\s", re.IGNORECASE)
_NEGATED = re.compile(r"\b(?:not|never|no)\b|n't", re.IGNORECASE)


@dataclass(frozen=True)
class _Frame:
    pattern: re.Pattern[str]
    others: tuple[str, ...]


def _frames() -> dict[str, list[_Frame]]:
    """The frames by the first word that a question must have."""
    known: dict[str, list[_Frame]] = {}
    for group in FRAMES:
        lines = group.split("\n")[1:-1]
        ways = [line.removeprefix("=> ") for line in lines]
        for line, way in zip(lines, ways, strict=True):
            if line.startswith("=> "):
                continue
            parts = [_SLOTS.get(part) or re.escape(part) for part in _SLOT.split(way)]
            frame = _Frame(
                re.compile("".join(parts), re.IGNORECASE), tuple(w for w in ways if w != way)
            )
            known.setdefault(way.split(" ", 1)[0], []).append(frame)
    return known


_FRAMES = _frames()


def asked_another_way(text: str, rng: np.random.Generator) -> str:
    """The text with its last sentence asked another way, if it is of a known form."""
    part = parted(text)
    core = in_full(part.core)
    if _NEGATED.search(core):
        return text
    for frame in _FRAMES.get(core.split(" ", 1)[0].lower(), ()):
        found = frame.pattern.fullmatch(core)
        if found is None:
            continue
        slots = found.groupdict()
        if "x" in slots and _NOT_A_THING.search(slots["x"]):
            continue
        if "favourite" in slots and _SMALL_THING.search(slots["x"]):
            continue
        way = one_of(rng, frame.others)
        other = with_capital_of(core, way.format(**{"favourite": "favourite", **slots}))
        end = part.end if part.end or asks(other) else "?" if asks(text) else ""
        return part.before + other + end
    return text
