"""Documents as token ids: what batches are made of and losses are measured on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidya.text.corpus_file import in_chunks
from vidya.text.tokenizer import Tokenizer

_ENCODED_AT_ONCE = 100_000
"""Characters of the documents that `encode_each` encodes at one time."""


@dataclass(frozen=True)
class TokenDocuments:
    """Documents end to end, each from bos to bos."""

    tokens: NDArray[np.uint16]
    """All documents end to end."""
    offsets: NDArray[np.int64]
    """[documents + 1] where each document starts in `tokens`, and the end."""
    counted: NDArray[np.bool_] | None = None
    """[tokens] which tokens count where they are predicted; None: all."""

    @classmethod
    def joined(cls, documents: Sequence[NDArray[np.uint16]]) -> TokenDocuments:
        """Documents given one by one, none perhaps."""
        offsets = np.cumsum([0, *map(len, documents)], dtype=np.int64)
        return cls(np.concatenate([np.zeros(0, np.uint16), *documents]), offsets)

    @property
    def documents(self) -> int:
        """Number of documents."""
        return len(self.offsets) - 1

    @property
    def predictions(self) -> int:
        """Tokens that are predicted: all but the first of each document."""
        return int(np.maximum(np.diff(self.offsets) - 1, 0).sum())

    @property
    def predictions_so_far(self) -> NDArray[np.int64]:
        """[documents] tokens that are predicted up to the end of each document."""
        return np.cumsum(np.maximum(np.diff(self.offsets) - 1, 0))

    def document(self, number: int) -> NDArray[np.uint16]:
        """The token ids of a document."""
        begin, end = self.offsets[number : number + 2].tolist()
        return self.tokens[begin:end]

    def first(self, documents: int) -> TokenDocuments:
        """The first documents, without a copy."""
        offsets = self.offsets[: documents + 1]
        counted = None if self.counted is None else self.counted[: offsets[-1]]
        return TokenDocuments(self.tokens[: offsets[-1]], offsets, counted)

    def release(self) -> None:
        """Say, after each batch, that what was looked at may be forgotten: a file's pages."""


def encode_each(documents: Iterable[str], tokenizer: Tokenizer) -> Iterator[NDArray[np.uint16]]:
    """The token ids of each document; little more is read than what is asked for."""
    for chunk in in_chunks(documents, _ENCODED_AT_ONCE):
        yield from tokenizer.encode_documents(chunk)
