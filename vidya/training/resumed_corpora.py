"""What a run goes on training on: its corpus if that is there, else the tokens that it kept.

A run folder holds all that a run needs: the token caches are the corpus, encoded. So text that
is missing, or has become another, is told and not asked for, unless the user names it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vidya.errors import UserError
from vidya.storage.pretrained import require_own_tokenizer
from vidya.storage.run_folder import RunFolder
from vidya.system.read_once import is_read_once
from vidya.text.token_cache import TokenCache
from vidya.text.tokenizer import Tokenizer
from vidya.training.corpus_notes import corpus_name
from vidya.training.options import TrainOptions
from vidya.training.run_corpora import CorpusSources, RunCorpora, prepare, survey

Say = Callable[[str], None]


def located(options: TrainOptions, working_folder: str | None) -> TrainOptions:
    """The options with the names of files as they are to be opened here.

    Relative ones hold where the training was started, if they are there, else here.
    """

    def place(path: Path) -> Path:
        there = Path(working_folder or "") / path
        return there if working_folder and not path.is_absolute() and there.exists() else path

    val = None if options.val is None else place(options.val)
    return dataclasses.replace(options, data=tuple(map(place, options.data)), val=val)


def corpora_to_resume(
    run: RunFolder,
    options: TrainOptions,
    meta: Mapping[str, Any],
    say: Say,
    *,
    named: bool,
    detail: Say | None = None,
) -> tuple[RunCorpora, CorpusSources | None]:
    """The corpora of a run that goes on.

    Args:
        run: where the tokens are kept.
        options: of the run; its files as `located` has them.
        meta: of its checkpoint.
        say: takes lines that tell the user what is going on.
        named: whether the user names the files now, which must then be the right ones.
        detail: takes the lines that only some want to read; default: `say`.

    Returns:
        The corpora, and what was found in the text if that was used.

    Raises:
        UserError: a file that the user names cannot be read, or is another corpus; or the
            text is needed and not there.
    """
    problem = None if named else _gone_by(options)
    try:
        sources = survey(options, run) if problem is None else None
    except UserError as error:
        if named:
            raise
        problem, sources = _absent(options) or f"{error}:", None
    if sources is not None:
        other = _other_text(run, options, meta, sources)
        if other and named and other != options.val:
            raise UserError(
                f"{run.path} was trained on another corpus than the one given: give the same "
                f"--data, or leave it out; a run on other text begins with --init {run.path}"
            )
        if other and not named:
            problem = f"{other} is another text than it was when the run began:"
        if problem is None:
            if other:
                say(f"the held-out text is another from here on: {other}")
            return prepare(
                run, options, say, tokenizer_hash=meta["tokenizer_hash"], sources=sources,
                detail=detail,
            ), sources  # fmt: skip
    assert problem is not None
    try:
        kept = _kept(run, options, meta)
    except UserError as error:
        raise UserError(f"{problem.rstrip(':')}, and {error}") from error
    say(f"{problem} going on with the tokens kept in {run.path}")
    held_out = f", {kept.held_out.documents:,} held out" if kept.held_out else ""
    (detail or say)(
        f"corpus {corpus_name(options)}: {kept.train.documents:,} documents, "
        f"{len(kept.train.tokens):,} tokens{held_out}; vocabulary {kept.tokenizer.vocab_size}"
    )
    return kept, None


def _gone_by(options: TrainOptions) -> str | None:
    """What to say of text that came through a pipe: what comes through it now is another."""
    files = [*options.data, *([options.val] if options.val else [])]
    piped = [str(path) for path in files if is_read_once(path)]
    return f"corpus {', '.join(piped)} could be read only once:" if piped else None


def _absent(options: TrainOptions) -> str | None:
    """What to say of text that is not here; None if all of it is."""
    files = [*options.data, *([options.val] if options.val else [])]
    missing = [path for path in files if not path.exists()]
    if not options.data and not missing:
        return "corpus chitchat is not here:"  # which is a package
    return f"corpus {', '.join(map(str, missing))} is not here:" if missing else None


def _other_text(
    run: RunFolder, options: TrainOptions, meta: Mapping[str, Any], sources: CorpusSources
) -> Path | str | None:
    """What is not the text that the run began with; None if everything is."""
    if sources.train.summary.hash != meta["corpus_hash"]:
        return f"corpus {corpus_name(options)}"
    if options.val is None or sources.held_out is None:
        return None
    known = meta.get("held_out_hash") or _kept_hash(run.held_out_tokens)
    return options.val if known and sources.held_out.summary.hash != known else None


def _kept_hash(path: Path) -> str | None:
    try:
        return TokenCache.open(path).corpus_hash
    except UserError:
        return None


def _kept(run: RunFolder, options: TrainOptions, meta: Mapping[str, Any]) -> RunCorpora:
    """The tokens in the run folder; `UserError` says what is wrong with them."""
    tokenizer = Tokenizer.load(run.tokenizer)
    require_own_tokenizer(tokenizer, run.tokenizer, meta["tokenizer_hash"])
    train = _open(run.train_tokens, tokenizer, meta["corpus_hash"])
    held_out = None
    if options.val is not None or options.val_fraction > 0:
        held_out = _open(run.held_out_tokens, tokenizer, meta.get("held_out_hash"))
    return RunCorpora(tokenizer, train, held_out, train.corpus_hash)


def _open(path: Path, tokenizer: Tokenizer, corpus_hash: str | None) -> TokenCache:
    mend = "bring the text back, or name it with --data and --val"
    if not path.exists():
        raise UserError(f"its tokens are not kept in {path}: {mend}")
    try:
        cache = TokenCache.open(path)
    except UserError as error:
        raise UserError(f"its tokens in {path} are damaged: {mend}") from error
    if cache.tokenizer_hash != tokenizer.hash or corpus_hash not in (None, cache.corpus_hash):
        raise UserError(f"the tokens in {path} are those of another text: {mend}")
    return cache
