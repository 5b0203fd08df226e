"""What a question is made of: words, final marks, its last sentence, and whether it is English."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from vidya.posttraining.rewording.common_words import COMMON_WORDS, FUNCTION_WORDS, GREETING_WORDS

MARKS = "?!.…。？！؟।"
"""Characters that end a sentence."""
_PARTS = re.compile(rf"(?P<before>.*[{MARKS}]\s+)?(?P<core>.*?)(?P<end>\s*[{MARKS}\s]*)", re.DOTALL)
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_WH = r"(?:what|who|whom|whose|where|when|why|how|which|wat|wut)"
_ASKS = re.compile(
    rf"(?:(?:and|so|but|hey|hi|hello|ok|okay|oh|well)\W+)*(?:{_WH}(?:s|'s|’s|'re)?|"
    r"(?:do|does|did|are|is|was|were|can|could|will|would|should|have|has|had|am|may|shall|r)"
    r"(?:n't|nt)?)\b(?!\s+not\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Sentence:
    """A text in three parts, which together are the text without the space around it."""

    before: str
    """Earlier sentences, with the space after them."""
    core: str
    """The last sentence without its final marks."""
    end: str
    """The final marks, with space before them if there was any."""

    def whole(self) -> str:
        """The text again."""
        return self.before + self.core + self.end


def parted(text: str) -> Sentence:
    """A text's earlier sentences, the words of its last one, and the marks that end it."""
    found = _PARTS.fullmatch(text.strip())
    assert found is not None
    return Sentence(found["before"] or "", found["core"], found["end"])


def words(text: str) -> list[str]:
    """The words of a text, in small letters."""
    return _WORD.findall(text.casefold())


def wording(text: str) -> str:
    """A text's words alone: two texts with the same differ in case, spaces and marks only."""
    return " ".join(words(text.replace("’", "'")))


@functools.lru_cache(4096)
def is_english(text: str) -> bool:
    """Whether a text seems English: by its small words, or as most of its words are common ones."""
    found = words(text)
    if not found or not text.replace("’", "'").replace("…", ".").isascii():
        return False
    small = sum(word in FUNCTION_WORDS for word in found)
    common = sum(word in COMMON_WORDS for word in found)
    return 3 * small >= len(found) or 4 * common >= 3 * len(found)


@functools.lru_cache(4096)
def asks(text: str) -> bool:
    """Whether a text is a question: it ends with a question mark, or begins as one."""
    part = parted(text)
    return any(mark in part.end for mark in "?？؟") or bool(_ASKS.match(part.core))


@functools.lru_cache(4096)
def is_greeting(text: str) -> bool:
    """Whether a text is one word, or a few that only greet, thank or part."""
    found = words(text)
    return len(found) < 2 or (len(found) < 4 and all(word in GREETING_WORDS for word in found))


def with_capital_of(pattern: str, text: str) -> str:
    """A text whose first letter is large if that of a pattern is, and as it stands otherwise."""
    return text[:1].upper() + text[1:] if pattern[:1].isupper() else text


def without_capital(text: str) -> str:
    """A text that goes on within a sentence: its first letter small, unless it is `I` or a name."""
    first = text.split(" ", 1)[0].replace("’", "'")
    if first in ("I", "I'm", "I've", "I'd", "I'll") or (len(first) > 1 and first.isupper()):
        return text
    return text[:1].lower() + text[1:]
