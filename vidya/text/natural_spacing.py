"""Text with the spaces that people write: those that a tokeniser put around marks are taken back.

Corpora such as DailyDialog, and files made of them, come as `Hello , how are you ? I ' m fine .`.
A model of such text writes so, and takes `how are you?` for something else than what it was
taught. `natural_spacing` writes `Hello, how are you? I'm fine.`; text that people wrote stays as
it is but for marks that stand alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

_ENOUGH_MARKS = 3
"""Marks with a space before them, from which on text may be called tokenised."""
_SHARE = 0.5
"""Of all full stops and commas behind a word, which then have a space before them."""
_LOOKED_AT = 2_000
"""Texts that are looked at for that."""

_QUOTES = str.maketrans("‘’‛“”„‟", '\'\'\'""""')
_APART = re.compile(r"[\w'\")\]] [.,](?= |$)")
_CLOSE = re.compile(r"[\w'\")\]][.,](?= |$)")
_RULES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str] | str], ...] = tuple(
    (re.compile(pattern), by)
    for pattern, by in (
        # sentences that ran together before marks were set apart
        (r"(?<=[a-z]{2})([.!?])(?=[A-Z][a-z']*(?: |$))", r"\1 "),
        # words cut at their apostrophe: I ' m, I 'm, do n't
        (r"(?<=\w) ?' ?(?i:(s|t|m|ll|ve|re|d|clock))\b(?!')", lambda m: "'" + m[1].lower()),
        (r"(?<=\w) (?i:(n't))\b", r"\1"),
        (r"(?<=\b[Mm]a) ?' ?am\b", "'am"),
        # abbreviations: p . m ., U . S ., www . a . com
        (r"\b([ap]) ?\. ?(m) ?\.", r"\1.\2."),
        (r"\b([A-Z]) \. (?=[A-Z] \.)", r"\1."),
        (r"(?<=\b[A-Z]\.[A-Z]) \.", "."),
        (r"(?<=\bwww) \. (\w+) \. (?=\w)", r".\1."),
        (r"(?<=\w) \. (?=(?:com|org|net|edu|cn|uk)\b)", "."),
        # numbers: 3 . 5, 5 , 000, $ 5, 20 %
        (r"(?<=\d) ([.,]) (?=\d{3}\b)", r"\1"),
        (r"(?<=\d) \. (?=\d)", "."),
        (r"(?<=[$£€]) (?=\d)", ""),
        (r"(?<=\d) (?=%)", ""),
        # marks behind a word, and several of them
        (r" +([,.!?;:]+)(?= |$|[\"'])", r"\1"),
        (r"(?<=[.!?]) +([.!?])(?= |$)", r"\1"),
        (r"([(\[]) (?=\S)", r"\1"),
        (r"(?<=\S) ([)\]])", r"\1"),
    )
)  # fmt: skip


def natural_spacing(text: str) -> str:
    """One line of text without what a tokeniser put between its words and marks."""
    text = text.translate(_QUOTES)
    for pattern, by in _RULES:
        text = pattern.sub(by, text)
    for quote in "\"'":
        text = _quotes_closed(text, quote)
    return text.strip()


def _quotes_closed(text: str, quote: str) -> str:
    """Quotes that stand alone, in pairs: the first opens, the second closes."""
    alone = re.compile(rf"(?:^|(?<= )){quote}(?= |$|[,.!?;:])")
    found = list(alone.finditer(text))
    pieces, at = [], 0
    for number, one in enumerate(found):
        opens = number % 2 == 0 and (number + 1 < len(found))
        before = text[at : one.start()]
        if opens:
            pieces += [before, quote]
            at = one.end() + 1  # and the space behind it
        else:
            pieces += [before.rstrip(" "), quote]
            at = one.end()
    return "".join(pieces) + text[at:]


def is_tokenised(texts: Iterable[str]) -> bool:
    """Whether most full stops and commas of texts have a space before them.

    Only those two: question and exclamation marks have one in French.
    """
    apart = close = 0
    for text, _ in zip(texts, range(_LOOKED_AT), strict=False):
        apart += len(_APART.findall(text))
        close += len(_CLOSE.findall(text))
    return apart >= _ENOUGH_MARKS and apart > _SHARE * (apart + close)
