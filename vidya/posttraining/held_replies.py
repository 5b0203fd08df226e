"""What the model goes on to say as before while it is taught: replies to ordinary messages.

A taught answer leaks in the first tokens of a reply to something else, as the first message or
later, and first where the message looks like a taught question. So what holds the model to its
former self (`held_to`) looks at just these tokens: after messages of the base corpus, after those
that look like a taught question, after taught questions of which a word is another, and after
taught exchanges. The reply that it is led along is the corpus', or it is how a taught answer
begins: there the model must not go on with the answer, which it may have begun by chance.
"""

from __future__ import annotations

import numpy as np

from vidya.generation.chat_tokens import turn_ids
from vidya.measuring.ordinary_messages import plain_words
from vidya.posttraining.earlier_talk import EarlierTalk, Ids
from vidya.posttraining.ordinary_talk import OrdinaryTalk
from vidya.posttraining.rewording.chance import generator, happens, one_of
from vidya.posttraining.varied_conversations import batch_of
from vidya.text.batch_plan import Batch
from vidya.text.tokenizer import Tokenizer

NEAR = 0.25
"""Share of the corpus' messages that look like a taught question."""
OTHER_WORD = 0.25
"""Share of the messages that are a taught question with another word in it."""
AFTER = 0.15
"""Share of the messages that come after taught exchanges, and after one of the corpus."""
REPLY = 5
"""Tokens of a reply that are looked at."""
ALONG_AN_ANSWER = 0.5
"""Share of the corpus' messages after which a taught answer is begun."""
ANSWER = 8
"""Tokens of that answer."""
_WORDS_FROM = 3_000
"""Messages of which other words are taken."""


class HeldReplies:
    """Ordinary messages with replies, one after the other."""

    def __init__(
        self, talk: OrdinaryTalk, earlier: EarlierTalk, tokenizer: Tokenizer, *,
        context: int, seed: int,
    ) -> None:  # fmt: skip
        self._talk, self._earlier, self._tokenizer = talk, earlier, tokenizer
        self._context, self._seed = context, seed
        some = [*talk.first, *talk.later][:_WORDS_FROM]
        said = [word for one in some for word in plain_words(tokenizer.decode(one.message))]
        taught = {word for one in earlier.taught for word in plain_words(one.question)}
        self._other_words = [word for word in said if word not in taught]
        self._asked = [one for one in earlier.taught if one.question.split()]

    def batch(self, number: int) -> Batch:
        """The message of this number with what stands before it; only the reply's tokens count."""
        rng = generator(self._seed, 2 * number + 1)
        ids = self._earlier.draw(rng, AFTER, AFTER)
        ids.counted = [False] * len(ids.tokens)
        if self._asked and self._other_words and happens(rng, OTHER_WORD):
            message, reply = self._with_another_word(rng)
        else:
            exchange = self._talk.exchange(rng, near=NEAR)
            message = list(exchange.message)
            reply = [*exchange.reply, self._tokenizer.user_id][:REPLY]
            if self._earlier.taught and happens(rng, ALONG_AN_ANSWER):
                reply = list(self._answer_near(exchange.near, rng)[:ANSWER])
        ids.add([self._tokenizer.user_id, *message, self._tokenizer.assistant_id])
        ids.add(reply, counted=True)
        too_many = max(0, len(ids.tokens) - 1 - self._context)
        return batch_of([Ids(ids.tokens[too_many:], ids.counted[too_many:])], self._context)

    def _with_another_word(self, rng: np.random.Generator) -> tuple[list[int], list[int]]:
        """A taught question of which the word that says most is another; its answer's beginning."""
        one = one_of(rng, self._asked)
        words = one.question.split()
        at = max(range(len(words)), key=lambda at: self._rarity(words[at]))
        kept = "".join(mark for mark in words[at][-1:] if not mark.isalnum())
        words[at] = one_of(rng, self._other_words) + kept
        return turn_ids(self._tokenizer, " ".join(words)), list(one.answer[:ANSWER])

    def _rarity(self, word: str) -> float:
        """How much a word of a question says, with its marks."""
        return max(map(self._talk.rarity, plain_words(word)), default=0.0)

    def _answer_near(self, question: int | None, rng: np.random.Generator) -> tuple[int, ...]:
        """The answer to the question that a message looks like, or any."""
        taught = self._earlier.taught
        return (one_of(rng, taught) if question is None else taught[question]).answer
