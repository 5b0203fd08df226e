"""What the model is asked in reinforcement learning: a file's lines, or the corpus' beginnings."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from vidya.errors import UserError
from vidya.measuring.held_out_text import first_message
from vidya.text.batch_plan import permutation
from vidya.text.conversation_format import LINE_BREAK, turns_of
from vidya.text.corpus_file import read_documents
from vidya.text.token_documents import TokenDocuments
from vidya.text.tokenizer import Tokenizer

Turns = list[str]
"""Texts of a conversation, the user's first and last."""


def read_prompts(path: Path) -> list[Turns]:
    """The prompts of a file, one a line: messages, or conversations in the corpus form.

    What the model says last in a conversation is left out: it is to reply there itself.

    Raises:
        UserError: the file cannot be read, or there is no prompt in it.
    """
    prompts = []
    for line in read_documents(path):
        turns = turns_of(line) or [line.strip()]
        turns = turns[: len(turns) - (len(turns) % 2 == 0)]
        if turns[-1]:
            prompts.append(turns)
    if not prompts:
        raise UserError(f"{path} holds no prompt: put one on each line")
    return prompts


def in_random_order(prompts: list[Turns], seed: int) -> Iterator[Turns]:
    """The prompts again and again, each pass in another order."""
    for epoch in itertools.count():
        for number in permutation(len(prompts), seed, epoch).tolist():
            yield prompts[number]


def first_messages(corpus: TokenDocuments, tokenizer: Tokenizer, seed: int) -> Iterator[Turns]:
    """What users say first in the conversations of a corpus, in a random order, without end.

    Raises:
        UserError: no document is a conversation.
    """
    for epoch in itertools.count():
        found = False
        for number in permutation(corpus.documents, seed, epoch).tolist():
            if message := first_message(corpus.document(number), tokenizer):
                found = True
                yield [message.replace(LINE_BREAK, "\n")]
        if not found:
            raise UserError(
                "no document of the training corpus is a conversation: give --prompts FILE"
            )
