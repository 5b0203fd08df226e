"""Which earlier answers a step of a lesson rehearses.

Those that the step before missed come again, for they are what the lesson overwrites (as maximally
interfered retrieval has it: Aljundi et al. 2019, here without a pass of its own: the step's forward
pass tells). They fill half of the places at most, for some stay hard. The others are filled in
turn, so that every earlier answer is asked before any comes anew.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Rehearsal:
    """The numbers of the earlier answers of each step."""

    def __init__(self, earlier: int, count: int, *, missed_again: bool) -> None:
        """Make ready.

        Args:
            earlier: how many answers there are.
            count: how many of them a step has, if there are so many.
            missed_again: as above; else each step draws any.
        """
        self._earlier, self._count = earlier, min(count, earlier)
        self._missed_again = missed_again
        self._chosen: list[int] = []
        self._missed: list[int] = []
        self._in_turn: list[int] = []

    def step(self, rng: np.random.Generator) -> list[int]:
        """Distinct numbers from 0 on: those of the next step."""
        if not self._missed_again:
            return list(map(int, rng.permutation(self._earlier)[: self._count]))
        self._chosen = self._missed[: (self._count + 1) // 2]
        while len(self._chosen) < self._count:
            if not self._in_turn:
                self._in_turn = rng.permutation(self._earlier).tolist()
            following = self._in_turn.pop()
            if following not in self._chosen:
                self._chosen.append(following)
        return list(self._chosen)

    def saw(self, known: Sequence[bool]) -> None:
        """Take note of the step: which of its answers were known."""
        self._missed = [
            number for number, said in zip(self._chosen, known, strict=False) if not said
        ]
