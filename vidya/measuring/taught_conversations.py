"""Taught questions asked one after the other: a model's own replies stand between them.

What was learnt as the first message of a conversation is often not known later in one. So the
questions are shuffled and dealt into conversations of ten at most, in each of which the model
answers greedily, sees what it answered, and is asked the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from vidya.generation.chat_tokens import with_closed_turn, with_message
from vidya.generation.generator import Generator
from vidya.generation.replies import write_replies
from vidya.measuring.answers_given import GREEDY
from vidya.measuring.taught_recall import Question, most_tokens
from vidya.text.tokenizer import Tokenizer

TOGETHER = 10
"""Questions of a conversation at most."""


def dealt(questions: Sequence[Question], seed: int) -> list[list[Question]]:
    """The questions that are first messages, in a shuffled order, in conversations.

    These are of about the same length, `TOGETHER` at most; every question is in one of them.
    """
    asked = [question for question in questions if len(question.turns) == 1]
    order = np.random.Generator(np.random.Philox(key=np.array([seed, 1], np.uint64))).permutation(
        len(asked)
    )
    talks = -(-len(asked) // TOGETHER)
    return [[asked[i] for i in order[first::talks]] for first in range(talks)]


def converse(
    generator: Generator,
    tokenizer: Tokenizer,
    talks: Sequence[Sequence[Question]],
    *,
    interrupted: Callable[[], bool] = lambda: False,
) -> list[list[str]] | None:
    """The greedy replies in conversations, of each conversation in the order of its questions.

    All conversations go on together, a reply each. They are laid out as chat lays them out
    (vidya/chatting/session.py), and lose their oldest turns where chat would.

    Args:
        generator: with the weights as they are, and no sequence in it.
        tokenizer: the model's.
        talks: the questions of each conversation.
        interrupted: looked at between tokens.

    Returns:
        The replies; None when `interrupted` said so.
    """
    answers = [answer for talk in talks for question in talk for answer in question.answers]
    most = most_tokens(tokenizer, answers)
    so_far = [[tokenizer.bos_id] for _ in talks]
    said: list[list[str]] = [[] for _ in talks]
    for turn in range(max(map(len, talks), default=0)):
        going = [number for number, talk in enumerate(talks) if turn < len(talk)]
        prompts = [
            with_message(tokenizer, so_far[number], talks[number][turn].turns[-1], generator.window)
            for number in going
        ]
        if interrupted():
            return None
        writing = write_replies(generator, tokenizer, prompts, max_tokens=most, sampling=GREEDY)
        try:
            for reply, _ in writing:
                if reply.end in ("turn", "length"):
                    number = going[reply.number]
                    said[number].append(reply.text)
                    so_far[number] = with_closed_turn(tokenizer, reply.context)
                if interrupted():
                    return None
        finally:
            writing.close()
    return said
