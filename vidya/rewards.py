"""The two built-in rewards of `vidya.rl`, and how to write one.

A reward is called as `function(turns, reply)` and returns a number, more for a better reply:

    def shouting(turns: list[str], reply: str) -> float:
        return sum(c.isupper() for c in reply) / max(1, len(reply))

`turns` are the texts of the conversation so far, the user's first; the last, `turns[-1]`,
is the message that is replied to. `reply` is what the model said, as `vidya.chat` would
show it; it may be empty. A reward that has parameters of these names is told as well:

    tokens  how many tokens the reply has, without the marker that ended it
    ended   whether the model ended it itself: False where it was cut off

and its other parameters are settings (`--settings target=20`). Only the differences between
rewards of replies to one prompt count, so their zero and their scale do not matter.
"""

from __future__ import annotations

import math

from vidya.errors import UserError
from vidya.measuring.diversity import repetition, words


def length(
    turns: list[str], reply: str, *, tokens: int, target: float = 20, unit: str = "tokens"
) -> float:
    """1 for a reply of `target` tokens, a half for half as many or twice as many, 0 for none.

    By ratio and not by difference: some replies are always much too long, none is shorter
    than nothing, so that differences would push the mean below the target.

    Args:
        turns: not looked at.
        reply: what the model said.
        tokens: how many tokens that is.
        target: the length to come near to.
        unit: what `target` counts: `tokens`, or `words` (marks count as words, and so does each
            character of a script without spaces, such as Chinese).
    """
    if unit not in ("tokens", "words"):
        raise UserError(f"the length of a reply is counted in tokens or words, not {unit}")
    if not 0 < target < math.inf:
        raise UserError(f"the target length must be above 0, not {target}")
    there = tokens if unit == "tokens" else len(words(reply))
    return min(there / target, target / max(1, there))


def no_repeats(turns: list[str], reply: str, *, n: int = 2) -> float:
    """The share of a reply's n-grams of words that do not repeat an earlier one: 1 is best.

    A reply of fewer than `n` words has none, and gets 0: saying nothing is no way out.
    """
    if not isinstance(n, int) or n < 1:
        raise UserError(f"n-grams have n = 1, 2, … words, not {n}")
    repeated = repetition([words(reply)], n)
    return 0.0 if repeated is None else 1 - repeated
