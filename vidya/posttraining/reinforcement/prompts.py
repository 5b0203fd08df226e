"""What the model is asked in reinforcement learning: a file's lines, or the corpus' beginnings."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from vidya.errors import UserError
from vidya.measuring.held_out_text import first_message
from vidya.terminal.formatting import plural
from vidya.terminal.streams import say
from vidya.text.batch_plan import permutation
from vidya.text.conversation_format import LINE_BREAK, MARKER, turns_of
from vidya.text.conversation_layouts import conversations_in, counted_things
from vidya.text.corpus_file import read_documents, read_lines
from vidya.text.token_documents import TokenDocuments
from vidya.text.tokenised_text import MENDED_BY, WHAT_IT_IS, is_tokenised
from vidya.text.tokenizer import Tokenizer

Turns = list[str]
"""Texts of a conversation, the user's first and last."""


def read_prompts(path: Path) -> list[Turns]:
    """The prompts of a file: messages, one a line, or conversations in any clear layout.

    What the model says last in a conversation is left out: it is to reply there itself. What it
    cannot be asked is left out and told.

    Raises:
        UserError: the file cannot be read, or there is no prompt in it.
    """
    found = conversations_in(lambda: read_lines(path, tables=True))
    if found is None:
        prompts = [[line.strip()] for line in read_documents(path)]
    else:
        prompts = []
        left_out = []
        for one in found:
            turns = turns_of(one.text) if MARKER.search(one.text) else [one.text.strip()]
            turns = turns and turns[: len(turns) - (len(turns) % 2 == 0)]
            if turns and all(turns[::2]):
                prompts.append(turns)
            else:
                left_out.append(one.line)
        if found.done:
            say(f"{path}: put into the corpus form: {counted_things(found.done)}")
        if left_out:
            say(
                f"{path}: {plural(len(left_out), 'line')} that nobody can ask, left out: the first "
                f"is line {left_out[0]:,}"
            )
    if is_tokenised(turn for turns in prompts for turn in turns):
        say(f"{path}: {WHAT_IT_IS}: asked as it stands; {MENDED_BY} writes it as people do")
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
