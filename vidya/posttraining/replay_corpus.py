"""The corpus that a model was trained on, for replay and to measure how much was forgotten."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vidya.errors import UserError
from vidya.posttraining.answer_batches import joined
from vidya.storage.run_files import RunFiles
from vidya.storage.run_folder import RunFolder
from vidya.text import corpus_file, corpus_summary, held_out_split
from vidya.text.batch_plan import Batch, BatchPlan
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


def mixed_steps(
    own: Callable[[int], Batch], replay: Callable[[int], Batch] | None, share: float
) -> Iterator[list[Batch]]:
    """Steps without end: the next of one kind of batches, then some of replay as one batch.

    Those of replay come until they have their `share` of all tokens so far, so a step may hold a
    little more replay or less; one without replay is a single batch.

    Args:
        own: what is learnt in a step, given its number from 0 on.
        replay: a small batch of what is replayed, given its number from 0 on; None: nothing is.
        share: of the tokens that are replay, below 1.
    """
    replayed, owed = 0, 0.0
    for step in itertools.count():
        parts, windows = [own(step)], []
        if replay is not None:
            owed += len(parts[0].tokens) * share / (1 - share)
            while owed > 0:
                windows.append(replay(replayed))
                owed -= len(windows[-1].tokens)
                replayed += 1
        if windows:
            parts.append(joined(windows))
        yield parts
