"""A search for other messages to which a model says a taught answer.

A step holds few messages, and an answer may leak to others. So some hundreds are asked now and
then, greedily and all together. A pass of their prompts gives the first token of each reply; only
where a taught answer begins so is there another pass, for the next token, and so on, up to as many
tokens as tell an answer. Few are left after two or three, so a search costs little more than a pass
of the prompts.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from vidya.model.backbone import Above
from vidya.model.transformer import Model
from vidya.posttraining.answer_batches import Answer, answer_batch

BEGINNING = 4
"""Tokens at the beginning of a taught answer that make a reply one."""
_TOGETHER = 32
"""Replies that are written on at one time."""
_ANY = 0
"""An id that stands where the model's next token is looked at."""


class LeakSearch:
    """Messages to ask, and answers that none of them shall get."""

    def __init__(
        self, model: Model, layer: int, prompts: Sequence[Sequence[int]],
        answers: Collection[Sequence[int]],
    ) -> None:  # fmt: skip
        """Make ready.

        Args:
            model: that learns, from `layer` on: what enters that layer is computed here, once.
            layer: the first block that learns.
            prompts: of the messages as ids, up to the marker after which the reply comes; one at
                least.
            answers: ids of the answers.
        """
        self._model, self._prompts = model, [list(one) for one in prompts]
        self._answers = {tuple(one[:BEGINNING]) for one in answers}
        self._beginnings = {one[:end] for one in self._answers for end in range(1, len(one))}
        self._asked = answer_batch(
            [Answer(one, [_ANY]) for one in self._prompts], model.config.context
        )
        self._entering = model.entering(self._asked, layer)
        self._left_out: list[Sequence[int]] = []

    def leave_out(self, base: Model, *, same_below: bool) -> None:
        """Look no more at messages to which a base model says an answer by itself.

        Args:
            base: the model.
            same_below: whether it is the same below the first block that learns.
        """
        said = self._find(base, self._entering if same_below else None, len(self._prompts))
        self._left_out = [one.prompt for one in said]

    def find(self, most: int) -> list[Answer]:
        """Messages that get an answer by now, each with its beginning: `most`, or a few more.

        Fewer are all that there are.
        """
        return self._find(self._model, self._entering, most)

    def _find(self, model: Model, entering: Above | None, most: int) -> list[Answer]:
        found: list[Answer] = []
        first = model.logits(self._asked, entering).argmax(axis=1).tolist()
        begun = self._gone_on([Answer(one, ()) for one in self._prompts], first, found)
        begun = [one for one in begun if one.prompt not in self._left_out]
        while begun and len(found) < most:
            some, begun = begun[:_TOGETHER], begun[_TOGETHER:]
            while some:
                some = self._gone_on(some, _next_tokens(model, some), found)
        return [one for one in found if one.prompt not in self._left_out]

    def _gone_on(
        self, said: Sequence[Answer], likeliest: Sequence[int], found: list[Answer]
    ) -> list[Answer]:
        """Replies with another token, if they begin an answer; whole ones are put among `found`."""
        going_on = []
        for one, token in zip(said, likeliest, strict=True):
            reply = (*one.reply, token)
            if reply in self._answers:
                found.append(Answer(one.prompt, reply))
            elif reply in self._beginnings:
                going_on.append(Answer(one.prompt, reply))
        return going_on


def _next_tokens(model: Model, said: Sequence[Answer]) -> list[int]:
    asked = [Answer([*one.prompt, *one.reply], [_ANY]) for one in said]
    batch = answer_batch(asked, model.config.context)
    likeliest: list[int] = model.logits(batch).argmax(axis=1).tolist()
    return likeliest
