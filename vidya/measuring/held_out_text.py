"""The text that models are measured on: the same documents for every one of them.

Documents are counted and not tokens, since tokenizers cut the same text into different
numbers of tokens. Texts are encoded in memory; nothing is written.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidya.errors import UserError
from vidya.storage.pretrained import Pretrained
from vidya.storage.run_files import RunFiles
from vidya.terminal.streams import say
from vidya.text import corpus_file
from vidya.text.batch_plan import cut_windows
from vidya.text.layout_check import LayoutCheck
from vidya.text.token_cache import TokenCache
from vidya.text.token_documents import TokenDocuments, encode_each
from vidya.text.tokenised_text import TokenisedDocuments
from vidya.text.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True)
class HeldOutText(TokenDocuments):
    """Documents as one model's tokens."""

    name: str
    corpus_hash: str
    """The same for the same text, whatever the tokenizer."""

    def first_messages(self, tokenizer: Tokenizer, count: int) -> list[str]:
        """What the user says first in the first `count` conversations, or in all there are.

        Documents that are no conversations do not count.
        """
        documents = map(self.document, range(self.documents))
        messages = (first_message(document, tokenizer) for document in documents)
        return list(itertools.islice(filter(None, messages), count))


def first_message(ids: NDArray[np.uint16], tokenizer: Tokenizer) -> str:
    """What the user says first in a document, nothing if that is no conversation."""
    replies = np.flatnonzero(ids == tokenizer.assistant_id)
    if len(ids) <= 2 or ids[1] != tokenizer.user_id or not len(replies):
        return ""
    return tokenizer.decode(ids[2 : replies[0]].tolist()).strip()


class HeldOutTextSource:
    """Gives every model its tokens of the same documents."""

    def __init__(self, data: Path | None, tokens: int) -> None:
        """Nothing is read yet.

        Args:
            data: a corpus file; None: the `val.tokens` of each model's run.
            tokens: whole documents are taken from the front until they have so many by the
                tokenizer of the first model that asks; 0 takes all.
        """
        self._data = data
        self._limit = tokens
        self._counts: dict[str, int] = {}  # documents taken, by corpus

    def of(self, pretrained: Pretrained) -> HeldOutText:
        """The text in a model's tokens.

        Raises:
            UserError: the file cannot be read or holds no document, or the run's held-out
                text is missing, damaged or of another tokenizer.
        """
        data = self._data
        text = self._of_run(pretrained) if data is None else self._of_file(data, pretrained)
        cut_windows(text.offsets, pretrained.model.config.context)  # is there anything?
        return text

    def _of_file(self, data: Path, pretrained: Pretrained) -> HeldOutText:
        name, tokens = str(data), 0
        documents = corpus_file.require_documents(corpus_file.read_documents(data), name)
        documents = itertools.islice(documents, self._counts.get(name))
        taken: list[NDArray[np.uint16]] = []
        check, spacing = LayoutCheck(), TokenisedDocuments()
        looked_at = spacing.passing(check.passing(documents))
        for ids in encode_each(looked_at, pretrained.tokenizer):
            taken.append(ids)
            tokens += len(ids) - 1
            if self._limit and name not in self._counts and tokens >= self._limit:
                break
        if name not in self._counts:
            told = spacing.line(name) if pretrained.tokenizer.normalises else None
            for line in filter(None, (check.line(name), told)):
                say(line)
        self._counts[name] = len(taken)
        joined = TokenDocuments.joined(taken)
        return HeldOutText(joined.tokens, joined.offsets, name=name, corpus_hash=name)

    def _of_run(self, pretrained: Pretrained) -> HeldOutText:
        path = RunFiles(pretrained.checkpoint_path.parent).held_out_tokens
        if not path.is_file():
            raise UserError(
                f"there is no held-out text beside {pretrained.checkpoint_path} ({path.name}): "
                "give --data FILE"
            )
        cache = TokenCache.open_of(path, pretrained.tokenizer, "give --data FILE")
        key = cache.corpus_hash
        if key not in self._counts:
            enough = int(np.searchsorted(cache.predictions_so_far, self._limit)) + 1
            self._counts[key] = min(cache.documents, enough) if self._limit else cache.documents
        first = cache.first(self._counts[key])
        return HeldOutText(first.tokens, first.offsets, name=str(path), corpus_hash=key)
