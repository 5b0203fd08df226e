"""Steps that take a share of their tokens from the corpus that a model was trained on."""

from __future__ import annotations

from collections.abc import Iterator

from vidya.posttraining.answer_batches import joined
from vidya.text.batch_plan import Batch, BatchPlan


class Mixture:
    """Steps that take a share of their tokens from another corpus.

    The persona's documents are whole windows of their plan; windows of replay follow until
    they have their share of all tokens so far, so a step may hold a little more or less.
    """

    def __init__(self, persona: BatchPlan, replay: BatchPlan | None, share: float) -> None:
        self._persona, self._replay, self._share = persona, replay, share

    @staticmethod
    def tokens(own: Batch, windows: Batch | None) -> int:
        """Tokens of a step."""
        return len(own.tokens) + (0 if windows is None else len(windows.tokens))

    def steps(self) -> Iterator[tuple[Batch, Batch | None]]:
        """What each step has of the persona and of replay, from the first on, without end."""
        step = replayed = 0
        owed = 0.0
        while True:
            own, windows = self._persona.batch(step), []
            if self._replay is not None:
                owed += len(own.tokens) * self._share / (1 - self._share)
                while owed > 0:
                    windows.append(self._replay.batch(replayed))
                    owed -= len(windows[-1].tokens)
                    replayed += 1
            yield own, joined(windows) if windows else None
            step += 1
