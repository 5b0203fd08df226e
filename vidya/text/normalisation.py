"""Normalisation: the same text in one form, however a keyboard or a program wrote it.

Letters with their accents become one code point (NFC), curly quotes straight ones, every kind of
space a plain one, and what shows nothing (the space without a width, the byte order mark, the soft
hyphen) goes. It is a part of `tokenizer.json`, in the terms of Hugging Face's `tokenizers`, so
training, fine-tuning, teaching, chat and every other program that loads the tokenizer do it alike.
A tokenizer that was made before says nothing of it, and takes text as it stands.
"""

from __future__ import annotations

import functools
import json
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


@functools.cache
def normaliser() -> tokenizers.normalizers.Normalizer:
    """The normaliser of new tokenizers."""
    from tokenizers import Regex, normalizers

    return normalizers.Sequence(
        [normalizers.NFC()] + [normalizers.Replace(Regex(pattern), by) for pattern, by in _REPLACED]
    )


def normalised(text: str) -> str:
    """Text in the one form."""
    return str(normaliser().normalize_str(text))
