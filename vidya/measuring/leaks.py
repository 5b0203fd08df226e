"""Leaks: taught answers given to people who did not ask for them.

A reply to an ordinary message (vidya/measuring/ordinary_messages.py) leaks if it is a taught
answer, by token F1, and the model that was taught did not say the same to that message before:
short answers, such as "Yes.", are anybody's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vidya.generation.generator import Generator
from vidya.measuring.answers_given import answers_given
from vidya.measuring.taught_recall import ENOUGH, token_f1
from vidya.text.tokenizer import Tokenizer


def taught_answers_to(
    generator: Generator,
    tokenizer: Tokenizer,
    messages: Sequence[str],
    answers: Sequence[str],
    *,
    interrupted: Callable[[], bool] = lambda: False,
) -> list[str | None] | None:
    """The greedy reply to each first message where it is any of the answers; None elsewhere.

    Asked of the base model, this is what `leaked` needs to know of it. None in place of the list
    when `interrupted` said so.
    """
    if not answers:
        return [None] * len(messages)
    asked = [(message,) for message in messages]
    every = [list(dict.fromkeys(answers))] * len(messages)
    return answers_given(generator, tokenizer, asked, every, interrupted=interrupted)


def leaked(now: Sequence[str | None], before: Sequence[str | None] | None) -> int:
    """How many taught answers (`taught_answers_to`) were not said before to the same message."""
    if before is None:
        before = [None] * len(now)
    return sum(
        reply is not None and (old is None or token_f1(reply, old) < ENOUGH)
        for reply, old in zip(now, before, strict=True)
    )


def lesson_leaks(
    generator: Generator, tokenizer: Tokenizer, answer: str, messages: Sequence[str]
) -> int:
    """How many of some messages get an answer that was taught to another one.

    A reply is followed only as long as it can be the answer, so it takes a few tokens each.
    """
    found = taught_answers_to(generator, tokenizer, messages, [answer])
    return sum(reply is not None for reply in found or ())
