"""The corpus that a model was trained on, for replay and to measure how much was forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vidya.errors import UserError
from vidya.storage.run_files import RunFiles
from vidya.storage.run_folder import RunFolder
from vidya.text import corpus_file, corpus_summary, held_out_split
from vidya.text.batch_plan import BatchPlan
from vidya.text.token_cache import TokenCache, open_or_build
from vidya.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class ReplayCorpus:
    """Token caches of a run folder."""

    train: TokenCache
    held_out: TokenCache | None
    """None when the run held nothing out."""

    def replay(self, context: int, seed: int) -> BatchPlan:
        """Windows of the training corpus in an order that the seed decides, one a step."""
        return BatchPlan(self.train, context, docs_per_step=1, seed=seed)


def open_replay_corpus(folder: Path, tokenizer: Tokenizer) -> ReplayCorpus | None:
    """The caches that lie in a run folder; None if the training cache is not there.

    Raises:
        UserError: a cache is damaged, or of another tokenizer.
    """
    files = RunFiles(folder)
    train, held_out = files.train_tokens, files.held_out_tokens
    if not train.exists():
        return None
    return ReplayCorpus(
        TokenCache.open_of(train, tokenizer, "delete it"),
        TokenCache.open_of(held_out, tokenizer, "delete it") if held_out.exists() else None,
    )


def corpus_of_file(path: Path, run: RunFolder, tokenizer: Tokenizer) -> ReplayCorpus:
    """A corpus file in place of the run's own caches, which it leaves alone.

    Its token caches, `replay.tokens` and `replay_val.tokens`, stay in the run folder, to be
    used again with the same file. Two in a hundred documents are held out, never replayed.

    Raises:
        UserError: the file cannot be read, or holds no document to replay.
    """

    def documents(held_out: bool) -> Iterator[str]:
        for document in corpus_file.read_documents(path):
            if held_out_split.is_held_out(document, 0.02) == held_out:
                yield document

    def cache(target: Path, held_out: bool) -> TokenCache | None:
        summary = corpus_summary.summarize(documents(held_out))
        if not summary.documents:
            return None
        return open_or_build(
            target, lambda: documents(held_out), tokenizer, summary.hash,
            progress=True, total_bytes=summary.bytes,
        )  # fmt: skip

    train = cache(run.replay_tokens, False)
    if train is None:
        raise UserError(f"{path} holds no document to replay: put text into it, a document a line")
    return ReplayCorpus(train, cache(run.replay_held_out_tokens, True))
