"""Small words left out or put in: articles, any, the."""

from __future__ import annotations

import re

import numpy as np

from vidya.posttraining.rewording.chance import happens

_ARTICLE = re.compile(
    r"(?<![\w'])(?<!(?:[Ww]hat|[Ww]hen) is )(?<![Ww](?:hat|hen)'s )(?<![Ww]hats )"
    r"(?<![Ww]ho is )(?<![Ww]ho's )(?<![Ww]here is )(?<![Ww]here's )"
    r"(?:[Tt]he|[Aa]n?) (?!(?:lot|few|little|bit|most|best|only|same|one|other|while|year|day|week|"
    r"month|hour|minute|million|hundred|thousand|dozen|couple|pair|worst|first|last|second|more|"
    r"less)\b)(?=[a-z])"
)
"""Articles that may go: not in `what is the time`, `a lot`, `The Beatles`."""
_ANY = re.compile(r"\b(have|has|got|know|speak|play|want|need) any (?=[a-z]+s\b)", re.IGNORECASE)
_NO_ANY = re.compile(
    r"\b(do you (?:have|know|speak)) (?=(?!any|this|his|its|us)[a-z]+[^s]s\W*$)", re.IGNORECASE
)
_THE_TOO = re.compile(
    r"\b(like|love|enjoy|hate|about|into|of|in|to) (?=(?:rain|snow|sun|sea|ocean|beach|winter|"
    r"summer|spring|autumn|night|internet|wind|heat|cold|mountains|stars|news|radio|weather)\W*$)",
    re.IGNORECASE,
)


def other_small_words(text: str, rng: np.random.Generator) -> str:
    """The text without some of its articles, or with the one that could stand there."""
    text = _ARTICLE.sub(lambda found: "" if happens(rng, 0.6) else found[0], text)
    text = _ANY.sub(lambda found: f"{found[1]} " if happens(rng, 0.5) else found[0], text)
    text = _NO_ANY.sub(lambda found: f"{found[1]} any " if happens(rng, 0.5) else found[0], text)
    return _THE_TOO.sub(lambda found: f"{found[1]} the " if happens(rng, 0.6) else found[0], text)
