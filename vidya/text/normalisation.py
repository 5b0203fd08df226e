"""Normalisation: the same text in one form, however a keyboard or a program wrote it.

Letters with their accents become one code point (NFC), curly quotes straight ones, every kind of
space a plain one, and what shows nothing (the space without a width, the byte order mark, the soft
hyphen) goes. It is a part of `tokenizer.json`, in the terms of Hugging Face's `tokenizers`, so
training, fine-tuning, teaching, chat and every other program that loads the tokenizer do it alike.
A tokenizer that was made before says nothing of it, and takes text as it stands.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tokenizers.normalizers

_REPLACED = (
    ("[\u2018\u2019\u201a\u201b\u02bc]", "'"),
    ("[\u201c\u201d\u201e\u201f]", '"'),
    ("[\u00a0\u2000-\u200a\u202f\u205f\u3000]", " "),
    ("[\u200b\u2060\ufeff\u00ad]", ""),
)
"""Characters, as a regular expression, and what they become."""
_ANY_REPLACED = re.compile("|".join(pattern for pattern, _ in _REPLACED))

NORMALISER: dict[str, Any] = {
    "type": "Sequence",
    "normalizers": [
        {"type": "NFC"},
        *(
            {"type": "Replace", "pattern": {"Regex": pattern}, "content": by}
            for pattern, by in _REPLACED
        ),
    ],
}
"""As it stands in a `tokenizer.json`."""


def replaced_characters() -> dict[str, str]:
    """Characters that are replaced, each with what it becomes; beside that, text becomes NFC."""
    codes = [*range(0x80, 0xD800), *range(0xE000, 0x10000)]
    return {
        character: by
        for character in filter(_ANY_REPLACED.match, map(chr, codes))
        for pattern, by in _REPLACED
        if re.match(pattern, character)
    }


@functools.cache
def normaliser() -> tokenizers.normalizers.Normalizer:
    """The normaliser of new tokenizers."""
    from tokenizers import Regex, normalizers

    return normalizers.Sequence(
        [normalizers.NFC()] + [normalizers.Replace(Regex(pattern), by) for pattern, by in _REPLACED]
    )


def is_normalised(text: str) -> bool:
    """Whether text is in the one form already, told much more quickly than it is brought there.

    Nearly all text is, and the normaliser takes as long as all the rest of encoding.
    """
    if text.isascii():
        return True
    return _ANY_REPLACED.search(text) is None and unicodedata.is_normalized("NFC", text)


def normalised(text: str) -> str:
    """Text in the one form."""
    return text if is_normalised(text) else str(normaliser().normalize_str(text))
