"""What one pass over a corpus tells: its size, and a hash of its documents."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class CorpusSummary:
    """What one pass over a corpus tells."""

    hash: str
    """Hex digest of the documents in their order; equal for equal content only."""
    documents: int
    bytes: int
    """UTF-8 bytes of the documents, line ends not counted."""
    characters: int
    """Unicode characters of the documents."""


class Summing:
    """A `CorpusSummary` in the making, document by document."""

    def __init__(self) -> None:
        self._digest = hashlib.blake2b(digest_size=16)
        self._documents = self._bytes = self._characters = 0

    def add(self, document: str) -> None:
        """Count a document."""
        raw = document.encode("utf-8")
        # The length in front keeps ["ab"] and ["a", "b"] apart.
        self._digest.update(len(raw).to_bytes(8, "little"))
        self._digest.update(raw)
        self._documents += 1
        self._bytes += len(raw)
        self._characters += len(document)

    def summary(self) -> CorpusSummary:
        """Of the documents so far."""
        return CorpusSummary(
            self._digest.hexdigest(), self._documents, self._bytes, self._characters
        )


def summarize(documents: Iterable[str]) -> CorpusSummary:
    """Hash and measure a corpus in one pass."""
    summing = Summing()
    for document in documents:
        summing.add(document)
    return summing.summary()


def corpus_hash(documents: Iterable[str]) -> str:
    """Hex digest of the documents in their order."""
    return summarize(documents).hash
