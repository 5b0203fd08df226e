"""Replies to other messages along which a model is held, led by what the model itself would say.

A taught answer leaks wherever its words have become likely: after `Yes,` comes ` my name is`,
though no reply of the corpus goes there and no answer begins so. The model's own greedy replies do,
so it is held along these (on-policy distillation: Agarwal et al. 2024). Writing them would take a
pass a token. The passes that the steps make anyhow do it instead (Jacobi decoding: Santilli et al.
2023): the reply of the next step has at each place the token that was likeliest in this one. Its
first token is then greedy from the second step on, its first two from the third on, and so forth.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from vidya.posttraining.answer_batches import Answer

LONGEST = 14
"""Tokens of such a reply: whole answers leak where none of their first words is theirs alone."""
STEPS = 6
"""Steps that a message stays at least; then another comes, unless an answer leaks there."""


@dataclass
class _Led:
    """A message with what is said after it."""

    answer: Answer
    steps: int
    """That it has been there."""
    leaks: bool = False
    """Whether the model says a taught answer to it."""


class LedReplies:
    """Some messages with replies that change from step to step.

    Attributes:
        taught: what must be said to none of them, as ids, up to `LONGEST` of each.
    """

    def __init__(
        self, count: int, answers: Collection[Sequence[int]], ends: Collection[int]
    ) -> None:
        """Make ready.

        Args:
            count: messages of a step.
            answers: ids of what must be said to none of them.
            ends: ids that end a reply.
        """
        self._count, self._ends = count, ends
        self.taught = {tuple(self._reply(one)[:LONGEST]) for one in answers}
        self._led: list[_Led] = []

    def __len__(self) -> int:
        """Messages of a step."""
        return self._count

    def answers(self, draw: Callable[[int], Answer]) -> list[Answer]:
        """The texts of a step; `draw` makes the one of a place anew, with its first reply."""
        for place in range(self._count):
            if place == len(self._led):  # not all of them are to change in the same step
                self._led.append(_Led(draw(place), place % STEPS))
            elif self._led[place].steps >= STEPS and not self._led[place].leaks:
                self._led[place] = _Led(draw(place), 0)
        return [one.answer for one in self._led]

    def bring(self, leaks: Sequence[Answer]) -> None:
        """Hold messages, each with the taught answer that it gets, in places where none leaks."""
        prompts = [one.answer.prompt for one in self._led]
        for leak in leaks:
            if leak.prompt in prompts:
                place = prompts.index(leak.prompt)
            else:
                place = next((n for n, one in enumerate(self._led) if not one.leaks), -1)
            if place >= 0:
                self._led[place] = _Led(leak, 0, leaks=True)

    def leak(self, likeliest: Sequence[Sequence[int]]) -> list[bool]:
        """Which replies are taught answers, by the likeliest token at each token of them."""
        return [tuple(self._reply(tokens)[:LONGEST]) in self.taught for tokens in likeliest]

    def saw(self, likeliest: Sequence[Sequence[int]]) -> None:
        """Lead on, by the likeliest token at each token of the replies of the step before."""
        leaks = self.leak(likeliest)
        for led, tokens, leaking in zip(self._led, likeliest, leaks, strict=True):
            reply = self._reply(tokens)
            if reply[-1] not in self._ends and len(reply) < LONGEST:
                reply.append(reply[-1])  # any id: what counts there is what comes after the others
            led.answer = Answer(led.answer.prompt, reply)
            led.steps += 1
            led.leaks = leaking

    def _reply(self, tokens: Sequence[int]) -> list[int]:
        """Tokens up to the first that ends a reply."""
        end = next((n for n, one in enumerate(tokens, 1) if one in self._ends), None)
        return list(tokens[:end])
