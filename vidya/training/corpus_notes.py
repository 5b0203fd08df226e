"""Lines about the text that a run is to train on: too little of it, or the same twice."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator

from vidya.terminal.formatting import plural
from vidya.text.shared_documents import SharedDocuments
from vidya.training.options import TrainOptions

_EXPECTED = 10
"""Documents that would be held out on average: chance leaves none of them in 1 of 20,000 cases."""
FEW_DOCUMENTS = 50
"""Fewer are what somebody wants a trained model to know, and not what it learns to speak from."""


def corpus_name(options: TrainOptions) -> str:
    """What the user calls the training text."""
    return ", ".join(map(str, options.data)) if options.data else "chitchat"


def too_little_to_train_on(options: TrainOptions, documents: int) -> Iterator[str]:
    """A line that asks whether a trained model was to learn so few documents."""
    if documents < FEW_DOCUMENTS and options.data and options.init is None:
        files = shlex.join(map(str, options.data))
        yield (
            f"{plural(documents, 'document')} of {corpus_name(options)} are too few to learn a "
            f"language from. Did you mean to teach them to a trained model? python -m "
            f"vidya.finetune {files}"
        )


def nothing_is_held_out(options: TrainOptions, documents: int) -> str:
    """Why a corpus of so many documents leaves none to measure on."""
    name, fraction = corpus_name(options), f"{options.val_fraction:g}"
    if documents * options.val_fraction >= _EXPECTED:
        return (
            f"of {documents:,} documents in {name} not one falls into the held-out {fraction}, as "
            "where they were held out before: nothing is held out and measured; give --val FILE"
        )
    larger = " or a larger --val-fraction" if documents > 1 else ""
    return (
        f"{name} has {plural(documents, 'document')}, too few to hold {fraction} of them out: "
        f"nothing is held out and measured; --val FILE{larger} changes that"
    )


def repeated_text(options: TrainOptions, shared: SharedDocuments | None) -> Iterator[str]:
    """Lines about text that is used more than once; `shared` is what both sides have."""
    if shared is not None:
        yield shared.in_words(f"--val {options.val}")
    real = [os.path.realpath(path) for path in options.data]
    for number, path in enumerate(options.data):
        if real[number] in real[:number]:
            yield f"--data {path} is the same file as one before it: its documents count twice"
