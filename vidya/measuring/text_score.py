"""The log-probability that a model gives to one text, token by token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidya.errors import UserError
from vidya.generation.chat_tokens import beside_reply, chat_prompt, corpus_line, turn_ids
from vidya.generation.generator import Generator, Scores
from vidya.text.tokenizer import Tokenizer


@dataclass(frozen=True, eq=False)
class TextScore:
    """What a model makes of a text of n tokens: each is predicted from those before it."""

    ids: tuple[int, ...]
    """The n tokens."""
    tokens: tuple[str, ...]
    """The text of each; bytes of a character that is cut in two are U+FFFD."""
    logprobs: NDArray[np.float64]
    """[n] the natural logarithm of the probability of each, at temperature 1 over all tokens."""
    likeliest: NDArray[np.bool_]
    """[n] whether no token was likelier there."""
    text_bytes: int
    """UTF-8 bytes of the n tokens; markers count 0."""

    @property
    def total(self) -> float:
        """Log-probability of the whole text, in nats: the sum over its tokens."""
        return float(self.logprobs.sum())

    @property
    def per_token(self) -> float:
        """Mean log-probability of a token, in nats: minus the loss."""
        return float(self.logprobs.mean())

    @property
    def bits_per_byte(self) -> float:
        """Bits that a byte of the text takes: comparable whatever the tokenizers; less is better.

        NaN for a text of markers alone, which has no bytes.
        """
        return -self.total / math.log(2) / self.text_bytes if self.text_bytes else math.nan

    @property
    def perplexity(self) -> float:
        """exp(-per_token): as unsure as an even choice among so many tokens."""
        return math.exp(-self.per_token) if self.per_token > -700 else math.inf

    @property
    def greedy(self) -> bool:
        """Whether every token is the likeliest: what the model would say at temperature 0."""
        return bool(self.likeliest.all())


def document_score(
    generator: Generator, tokenizer: Tokenizer, text: str, *, end: bool = False
) -> TextScore:
    """Score a text as a document of a corpus, whose markers count as markers.

    One that is longer than the context is cut into windows of `window` predictions, of which each
    begins with the last token of the one before, as in `vidya.eval`.

    Args:
        generator: the model, with a free slot.
        tokenizer: the model's.
        text: what stands on a line of a corpus; line breaks become what they are there.
        end: count the `<|bos|>` that ends a document, too, as `vidya.eval` does.

    Raises:
        UserError: there is nothing to score, or the weights are no good.
    """
    line = corpus_line(tokenizer, text) if len(text.splitlines()) > 1 else text
    ids = [tokenizer.bos_id, *tokenizer.encode_marked(line), *([tokenizer.bos_id] if end else [])]
    window = generator.window
    pieces = [ids[at : at + window + 1] for at in range(0, len(ids) - 1, window)]
    return _scored(tokenizer, ids[1:], [generator.score(piece) for piece in pieces])


def reply_score(
    generator: Generator, tokenizer: Tokenizer, turns: Sequence[str], text: str, *,
    end: bool = False,
) -> TextScore:  # fmt: skip
    """Score a text as the reply to a conversation; a marker in it is ordinary text.

    Args:
        generator: the model, with a free slot.
        tokenizer: the model's.
        turns: what was said before, the user's words first and last; where the context cannot
            hold all of it, the oldest falls out.
        text: the reply, which gets the spaces around it that it has in a corpus.
        end: count the marker of the user's turn that ends a reply, too.

    Raises:
        UserError: there is nothing to score, it takes more than three quarters of the context, or
            the weights are no good.
    """
    if not text.strip():
        raise UserError("there is nothing to score: the text is empty")
    reply = [*turn_ids(tokenizer, text), *([tokenizer.user_id] if end else [])]
    if len(reply) > (most := beside_reply(generator.window)):
        raise UserError(
            f"the text has {len(reply):,} tokens, and a reply that is scored at most {most:,}, "
            "three quarters of the context: score it in parts"
        )
    prompt = chat_prompt(tokenizer, turns, generator.window + 1 - len(reply))
    scores = generator.score([*prompt, *reply])
    ours = Scores(scores.logprobs[-len(reply) :], scores.likeliest[-len(reply) :])
    return _scored(tokenizer, reply, [ours])


def _scored(tokenizer: Tokenizer, ids: Sequence[int], parts: Sequence[Scores]) -> TextScore:
    if not parts:
        raise UserError("there is nothing to score: the text is empty")
    logprobs = np.concatenate([part.logprobs for part in parts])
    if not np.isfinite(logprobs).all():
        raise UserError("the model's output is not a number: its weights are no good, use others")
    return TextScore(
        tuple(ids), tuple(tokenizer.decode([one]) for one in ids), logprobs,
        np.concatenate([part.likeliest for part in parts]), tokenizer.byte_length(ids),
    )  # fmt: skip
