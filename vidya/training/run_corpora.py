"""What a run trains on: from corpus files to a tokenizer and two token caches."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from vidya.corpora import chitchat
from vidya.errors import UserError
from vidya.storage import file_stamp_cache
from vidya.storage.pretrained import require_own_tokenizer
from vidya.storage.run_files import RunFiles
from vidya.storage.run_folder import RunFolder
from vidya.system.read_once import called
from vidya.terminal.formatting import plural
from vidya.terminal.streams import can_redraw
from vidya.text import corpus_file, held_out_split
from vidya.text.corpus_summary import CorpusSummary, Summing, summarize
from vidya.text.layout_check import LayoutCheck
from vidya.text.remembered_tokenizer import remembered_tokenizer
from vidya.text.shared_documents import SharedDocuments, SharedDocumentsCounter
from vidya.text.token_cache import TokenCache, open_or_build
from vidya.text.tokenised_text import TokenisedDocuments
from vidya.text.tokenizer import Tokenizer
from vidya.text.tokenizer_training import (
    cached_tokenizer,
    made_here,
    remember_origin,
    train_tokenizer,
)
from vidya.training.corpus_notes import (
    corpus_name,
    nothing_is_held_out,
    repeated_text,
)
from vidya.training.options import TrainOptions
from vidya.user_files.text_lines import tell

Documents = Callable[[], Iterator[str]]
"""Gives the documents of a corpus, anew at each call."""


@dataclass(frozen=True)
class RunCorpora:
    """A tokenizer, and the corpora of a run as token ids."""

    tokenizer: Tokenizer
    train: TokenCache
    held_out: TokenCache | None
    """None when the run holds nothing out."""
    corpus_hash: str
    """Hash of the training documents."""


def _all_documents(options: TrainOptions) -> Documents:
    if options.data:
        read = corpus_file.read_documents if len(options.data) == 1 else _documents_of
        return lambda: itertools.chain.from_iterable(map(read, options.data))
    return chitchat.chitchat_documents


def _documents_of(path: Path) -> Iterator[str]:
    """The documents of one of several files; that it has none is told."""
    empty = True
    for document in corpus_file.read_documents(path):
        empty = False
        yield document
    if empty:
        tell(f"{path} holds no document")


def _split(options: TrainOptions) -> tuple[Documents, Documents | None]:
    """The training documents, and the held-out ones if any are to be."""
    everything = _all_documents(options)
    if options.val is not None:
        val: Path = options.val
        return everything, lambda: corpus_file.read_documents(val)
    fraction = options.val_fraction
    if fraction == 0:
        return everything, None
    return (
        lambda: held_out_split.training_documents(everything(), fraction),
        lambda: held_out_split.held_out_documents(everything(), fraction),
    )


@dataclass(frozen=True)
class CorpusSource:
    """Documents that have been read once and found good."""

    documents: Documents
    summary: CorpusSummary


@dataclass(frozen=True)
class CorpusSources:
    """What a run is to train on, as text."""

    train: CorpusSource
    held_out: CorpusSource | None
    key: dict[str, Any] | None = None
    """By which the summaries may be remembered; None: they may not, or are already."""
    shared: SharedDocuments | None = None
    """Documents of a held-out file that are trained on, too; None: none are known of."""
    notes: tuple[str, ...] = ()
    """Lines about the corpus for the user."""


def survey(options: TrainOptions, run: RunFolder | None = None) -> CorpusSources:
    """Read the corpora once and find out whether a run can use them. Writes nothing.

    With a run folder, what `remember` wrote there is taken for files that
    have not changed since.

    Raises:
        UserError: a file cannot be read or is not UTF-8, no documents, nothing held out.
    """
    train, held_out = _split(options)
    key = corpora_key(options)
    known = file_stamp_cache.recall(run.summaries, key) if run is not None and key else None
    if known is None:
        checks = LayoutCheck(), TokenisedDocuments()
        first, second, shared = _summaries(options, train, held_out, checks)
        lines = [line for one in checks if (line := one.line(corpus_name(options)))]
    else:
        key = None
        first, second = (one and CorpusSummary(**one) for one in known[:2])
        shared = SharedDocuments(**known[2]) if known[2:] and known[2] else None
        lines = [line for line in known[3:] if line]
    notes = tuple(lines)
    if second is not None and options.val is None and _cannot_be_split(options, first, second):
        note = nothing_is_held_out(options, first.documents + second.documents)
        whole = first if first.documents else second
        source = CorpusSource(_all_documents(options), whole)
        return CorpusSources(source, None, notes=(*notes, note))
    if first.documents == 0:
        _refuse_empty(options)
    if held_out is None or second is None:
        return CorpusSources(CorpusSource(train, first), None, key, notes=notes)
    if second.documents == 0:
        reason = "holds no document to evaluate on: put some text into it"
        raise UserError(f"{options.val} {reason}")
    sides = CorpusSource(train, first), CorpusSource(held_out, second)
    return CorpusSources(*sides, key, shared, notes)


def _cannot_be_split(options: TrainOptions, train: CorpusSummary, held_out: CorpusSummary) -> bool:
    """Whether a corpus is so small that the hash of its documents puts all on one side.

    A large share that somebody asked for, and that holds everything out, is refused instead.
    """
    if not held_out.documents:
        return train.documents > 0
    return not train.documents and options.val_fraction <= TrainOptions.val_fraction


def _summaries(
    options: TrainOptions,
    train: Documents,
    held_out: Documents | None,
    checks: tuple[LayoutCheck, TokenisedDocuments],
) -> tuple[CorpusSummary, CorpusSummary | None, SharedDocuments | None]:
    """Summaries of the training documents and of the held-out ones, each file read once.

    And, where these are in a file of their own, what is in both.
    """
    layout, spacing = checks

    def looked_at(documents: Iterator[str]) -> Iterator[str]:
        return spacing.passing(layout.passing(documents))

    if held_out is None:
        return summarize(looked_at(train())), None, None
    if options.val is not None:
        counter = SharedDocumentsCounter()
        second = summarize(_each(held_out(), counter.note_held_out))
        first = summarize(_each(looked_at(train()), counter.look_up))
        return first, second, counter.result()
    sides = Summing(), Summing()
    for document in looked_at(_all_documents(options)()):
        sides[held_out_split.is_held_out(document, options.val_fraction)].add(document)
    return sides[0].summary(), sides[1].summary(), None


def _each(documents: Iterator[str], look: Callable[[str], None]) -> Iterator[str]:
    """The documents, each of which is looked at on its way."""
    for document in documents:
        look(document)
        yield document


def corpora_key(options: TrainOptions) -> dict[str, Any] | None:
    """What the summaries of the corpora depend on; None if the files are not to be relied on."""
    files = list(options.data) or [chitchat.chitchat_path()]
    marks = file_stamp_cache.stamp([*files, *([options.val] if options.val else [])])
    if marks is None:
        return None
    return {
        "files": marks,
        "converter": None if options.data else "chitchat",
        "held_out": "file" if options.val else options.val_fraction,
    }


def remember(run: RunFolder, options: TrainOptions, sources: CorpusSources) -> None:
    """Write down what a survey found, unless a file may have changed while it was read.

    For a run that has been accepted: one that is refused leaves its folder as it was.
    """
    if sources.key is not None and sources.key == corpora_key(options):
        both = sources.train, sources.held_out
        summaries = [asdict(side.summary) if side else None for side in both]
        shared = asdict(sources.shared) if sources.shared else None
        file_stamp_cache.remember(run.summaries, sources.key, [*summaries, shared, *sources.notes])


def prepare(
    run: RunFolder,
    options: TrainOptions,
    say: Callable[[str], None],
    *,
    tokenizer_hash: str | None,
    sources: CorpusSources | None = None,
    given_tokenizer: Tokenizer | None = None,
    detail: Callable[[str], None] | None = None,
) -> RunCorpora:
    """Train, find or load the tokenizer, build or open the caches in the run folder.

    Args:
        run: where they are kept.
        options: which corpora.
        say: takes lines that tell the user what is going on.
        tokenizer_hash: of the tokenizer that the checkpoint to resume was trained
            with; the folder's tokenizer must be that one and is not retrained.
        sources: of a survey already made.
        given_tokenizer: to use, and to keep in the run folder, instead of training one.
        detail: takes the lines that only some want to read; default: `say`.

    Raises:
        UserError: as `survey`; another tokenizer, a full disk.
    """
    sources, detail = sources or survey(options, run), detail or say
    train, summary = sources.train.documents, sources.train.summary
    show, merges = can_redraw(sys.stderr), options.n_merges()
    split_digits = options.split_digits

    def make_tokenizer() -> Tokenizer:
        run.note_preparing("tokenizer")
        detail(f"training a tokenizer with {merges:,} merges")
        return train_tokenizer(
            train(), merges, split_digits=split_digits, progress=show, say=detail
        )

    def find_tokenizer() -> Tokenizer:
        return remembered_tokenizer(
            summary.hash, merges, make_tokenizer, detail, split_digits=split_digits
        )

    if given_tokenizer is None and tokenizer_hash is None and options.tokenizer is not None:
        given_tokenizer = named_tokenizer(options.tokenizer)
    if tokenizer_hash is None:
        _set_tokenizer_aside(run, given_tokenizer, say)
    if given_tokenizer is not None:
        tokenizer = given_tokenizer
        tokenizer.save(run.tokenizer)
        remember_origin(run.tokenizer_origin, {"given": tokenizer.hash}, tokenizer)
    elif tokenizer_hash is None:
        tokenizer = cached_tokenizer(
            run.tokenizer, run.tokenizer_origin, summary.hash, merges, find_tokenizer,
            split_digits=split_digits,
        )  # fmt: skip
    else:
        tokenizer = Tokenizer.load(run.tokenizer)
        require_own_tokenizer(tokenizer, run.tokenizer, tokenizer_hash)
    train_cache = open_or_build(
        run.train_tokens, lambda: run.noting(train(), "tokens", summary.bytes), tokenizer,
        summary.hash, progress=show, total_bytes=summary.bytes,
    )  # fmt: skip
    run.note_preparing("")
    tokens = len(train_cache.tokens)
    # every document is framed by two bos
    per_token = summary.characters / max(1, tokens - 2 * summary.documents)
    held = f"{sources.held_out.summary.documents:,}" if sources.held_out else "nothing"
    detail(
        f"corpus {corpus_name(options)}: {plural(summary.documents, 'document')}, "
        f"{tokens:,} tokens; vocabulary {tokenizer.vocab_size:,}, "
        f"{per_token:.2f} characters per token; {held} held out"
    )
    if tokenizer_hash is None:  # of a run that goes on it has been told
        for note in sources.notes:
            say(note)
    for line in repeated_text(options, sources.shared):
        say(line)
    held_out_cache = None
    if (held_out := sources.held_out) is not None:
        held_out_cache = open_or_build(
            run.held_out_tokens, held_out.documents, tokenizer, held_out.summary.hash
        )
    else:  # what is there is of another run
        run.held_out_tokens.unlink(missing_ok=True)
    return RunCorpora(tokenizer, train_cache, held_out_cache, summary.hash)


def named_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer that `--tokenizer` names: a file, or the run folder that it lies in.

    Raises:
        UserError: there is none, or it is not one that vidya can use.
    """
    return Tokenizer.load(RunFiles(path).tokenizer if path.is_dir() else path)


def _set_tokenizer_aside(
    run: RunFolder, given: Tokenizer | None, say: Callable[[str], None]
) -> None:
    """Keep a tokenizer under another name that no training in the folder made."""
    try:
        there = Tokenizer.load(run.tokenizer)
    except UserError:
        return  # none, or damaged
    ours = made_here(run.tokenizer_origin, there)
    if not ours and not (given and given.hash == there.hash):
        (kept,) = run.set_aside(run.tokenizer)
        say(
            f"{run.tokenizer} was not made by a training there: it is kept as {kept.name}; "
            f"--tokenizer {kept} begins a run with it"
        )


def _refuse_empty(options: TrainOptions) -> NoReturn:
    for path in options.data:
        next(corpus_file.require_documents(corpus_file.read_documents(path), called(path)))
    if next(_all_documents(options)(), None) is None:
        raise UserError(f"corpus {corpus_name(options)} holds no document: give it some text")
    raise UserError(
        f"every document of {corpus_name(options)} is held out: lower --val-fraction, give --val "
        "FILE, or hold out nothing with --val-fraction 0"
    )
