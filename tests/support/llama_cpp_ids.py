"""Ids as llama.cpp makes them (`superbpe`), written once more and as plainly as can be."""

import itertools
import json
import re
import unicodedata

from vidya.text.tokenizer import Tokenizer, byte_alphabet


def llama_cpp_pieces(text: str) -> list[str]:
    """What `\\p{N}+` finds and what is between, each cut again before digits in threes."""
    numbers = itertools.groupby(text, key=lambda one: unicodedata.category(one)[0] == "N")
    return [
        piece
        for _, run in numbers
        for piece in re.split(r"(?=(?:[0-9]{3})+(?![0-9]))", "".join(run))
        if piece
    ]


def llama_cpp_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of plain text, by the merges of a tokenizer."""
    model = json.loads(tokenizer.json_text)["model"]
    ranks = {tuple(merge): rank for rank, merge in enumerate(model["merges"])}
    letters = {byte: letter for letter, byte in byte_alphabet().items()}
    ids = []
    for piece in llama_cpp_pieces(text):
        tokens = [letters[byte] for byte in piece.encode()]
        while pairs := [pair for pair in itertools.pairwise(tokens) if pair in ranks]:
            first = min(pairs, key=ranks.__getitem__)
            at = next(n for n, pair in enumerate(itertools.pairwise(tokens)) if pair == first)
            tokens[at : at + 2] = ["".join(first)]
        ids += [model["vocab"][token] for token in tokens]
    return ids
