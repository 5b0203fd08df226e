"""A small corpus that tokenizers are learned from, and a tokenizer of it."""

import json

from vidya.text.conversation_format import ASSISTANT, USER
from vidya.text.tokenizer import Tokenizer
from vidya.text.tokenizer_training import train_tokenizer

WORDS = ["how are you", "I am fine", "thank you very much", "what is it", "see you", "of course"]
DOCUMENTS = [
    f"{USER} {WORDS[i % 6]} {WORDS[i % 5]} ? {ASSISTANT} {WORDS[i % 4]} , {WORDS[i % 3]} . {i % 7}"
    for i in range(300)
]
MERGES = 60
PLAIN = 'I\'m at the "caf\u00e9" now'
TYPED = "I\u2019m at the \u201ccafe\u0301\u201d\u00a0now\ufeff"
"""The same text, as a keyboard or a program may write it."""


def a_tokenizer():
    return train_tokenizer(DOCUMENTS, MERGES)


def without_normaliser(tokenizer: Tokenizer) -> Tokenizer:
    """A tokenizer as earlier versions made them, of the same merges."""
    return Tokenizer(json.dumps(json.loads(tokenizer._json) | {"normalizer": None}))
