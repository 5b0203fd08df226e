"""Words of a text in any script: what replies and answers are counted and compared in.

A word is a run of letters, digits, `_` and apostrophes, with the marks that combine with
them. Scripts that are written without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese,
Tibetan and their relatives) would be one word a sentence: there each character is a word, with
what combines with it. Every other mark is a word of its own, and so is an emoji, however many
code points it is made of: a grapheme cluster of the Unicode standard (UAX #29).
"""

from __future__ import annotations

import unicodedata

import regex

_UNSPACED = (
    "Han Hiragana Katakana Bopomofo Yi Nushu Tangut Khitan_Small_Script Thai Lao Khmer Myanmar "
    "Tibetan Javanese Balinese Tai_Le New_Tai_Lue Tai_Tham Tai_Viet"
).split()
"""Scripts without spaces between words."""
_OF_UNSPACED = "".join(rf"\p{{scx={script}}}" for script in _UNSPACED)
_JOINED = r"\p{L}\p{N}\p{M}_'’\u200c\u200d\u00ad"
"""What a word consists of; the last three are joiners and the soft hyphen, which show nothing."""
_WORD = regex.compile(
    rf"[[\p{{L}}\p{{N}}]&&[{_OF_UNSPACED}]](?:\p{{M}}|[\u200c\u200d])*"
    rf"|[[{_JOINED}]--[[\p{{L}}\p{{N}}]&&[{_OF_UNSPACED}]]]+"
    r"|(?![\s\x1c-\x1f])\X",  # which str.split() takes for space
    regex.V1,
)


def words(text: str) -> list[str]:
    """The words and marks of a text, in order, as they stand.

    A letter with an accent is the same in one code point and in two (NFC).
    """
    return [str(word) for word in _WORD.findall(unicodedata.normalize("NFC", text))]
