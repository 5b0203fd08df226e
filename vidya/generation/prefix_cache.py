"""What each slot of a decoder's cache holds, so that no beginning of a text is computed twice.

What a prompt has in common with what some slot has seen is not computed again: the
conversation so far, or the one prompt of several candidates.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from vidya.generation.decoder import Decoder


@dataclass
class CachedText:
    """The text whose keys and values stand in one slot of the cache."""

    slot: int
    ids: list[int] = field(default_factory=list)
    logits: NDArray[Any] | None = None
    """What follows the last of `ids`, or None where that is not known."""
    log_sum: float = 0.0
    """log(sum(exp(logits)))."""
    used: int = 0
    """When it was used last, as a count of uses of the cache."""


class PrefixCache:
    """The texts in the slots of a decoder.

    Attributes:
        texts: one a slot.
    """

    def __init__(self, decoder: Decoder) -> None:
        self.texts = [CachedText(slot) for slot in range(decoder.slots)]
        self._decoder = decoder
        self._clock = 0

    def forget(self) -> None:
        """Use nothing again that was computed so far: the weights changed."""
        for text in self.texts:
            text.ids, text.logits = [], None

    def free_slot(self, tokens: list[int], taken: Container[int]) -> int:
        """A slot that is not taken: it has seen most of the tokens, or was used longest ago.

        Raises:
            ValueError: all slots are taken.
        """
        free = [text for text in self.texts if text.slot not in taken]
        if not free:
            raise ValueError(f"all {len(self.texts)} slots are in use: remove a sequence first")

        def worth(text: CachedText) -> tuple[int, int]:
            common = _common(text.ids, tokens)
            return common if common > 1 else 0, -text.used  # <|bos|> alone is nothing

        return max(free, key=worth).slot

    def fill(self, slot: int, tokens: list[int], most: int | None = None) -> None:
        """Bring a slot to the state after `tokens`, computing only what no slot has.

        With `most`, no more than so many tokens are computed: the slot then holds a beginning of
        `tokens`, without logits, and the next call goes on from there.
        """
        self._clock += 1
        text = self.texts[slot]
        text.used = self._clock
        source = max(self.texts, key=lambda other: (_common(other.ids, tokens), other is text))
        common = _common(source.ids, tokens)
        known = source.logits if common == len(tokens) == len(source.ids) else None
        log_sum = source.log_sum
        if source is not text:
            text.ids = []  # in case what follows is interrupted
            if common:
                self._decoder.copy(source.slot, slot, common)
        if known is not None:
            text.ids, text.logits, text.log_sum = tokens[:], known, log_sum
            return
        start = min(common, len(tokens) - 1)  # the last token's logits are wanted
        text.ids, text.logits = tokens[:start], None
        stop = len(tokens) if most is None else min(len(tokens), start + most)
        for first in range(start, stop, self._decoder.rows):
            end = min(first + self._decoder.rows, stop)
            piece = tokens[first:end]
            wanted = [len(piece) - 1] if end == len(tokens) else []
            logits = self._decoder.run(piece, [slot] * len(piece), range(first, end), wanted)
            text.ids = tokens[:end]
        if stop == len(tokens):
            (text.log_sum,) = self._decoder.log_sums(1)
            text.logits = logits[0].copy()

    def append(self, slots: Sequence[int], newest: Sequence[int]) -> None:
        """Run one more token of each of some slots through the model, in one call."""
        texts = [self.texts[slot] for slot in slots]
        for text in texts:
            text.logits = None
        positions = [len(text.ids) for text in texts]
        logits = self._decoder.run(newest, slots, positions, range(len(slots))).copy()
        log_sums = self._decoder.log_sums(len(slots))
        self._clock += 1
        for i, text in enumerate(texts):
            text.ids.append(newest[i])
            text.logits, text.log_sum, text.used = logits[i], log_sums[i], self._clock


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """How many ids the two begin with in common."""
    n = min(len(a), len(b))
    if a[:n] == b[:n]:
        return n
    return next(i for i in range(n) if a[i] != b[i])
