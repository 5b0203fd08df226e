"""Learning a tokenizer from documents, and the one that a run folder keeps.

- Where text is cut, which no merge crosses, stands in vidya/text/cutting.py.
- Merges are learned from a part of a large corpus.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

from vidya.errors import UserError
from vidya.system.atomic_file import recall_json, remember_json
from vidya.terminal.progress_display import waiting
from vidya.text.conversation_format import MARKER, MARKERS
from vidya.text.corpus_file import require_documents
from vidya.text.cutting import cuts, cuts_to_learn
from vidya.text.normalisation import normaliser
from vidya.text.tokenizer import BYTES, MAX_VOCAB, Tokenizer, byte_alphabet, tokenizers_library

TRAINING_BYTES = 12_000_000
"""Merges are learned from at most this much text, evenly taken from the corpus.

4,000 merges learned from 5, 10 and 20 MB of DailyDialog and chitchat make 4.377, 4.389
and 4.387 bytes a token on held-out text, in 13, 26 and 58 s and 0.45, 0.8 and 1.5 GB.
"""
RECIPE = 2
"""Raised when the way of training changes, so that cached tokenizers are trained anew."""
T = TypeVar("T")


def train_tokenizer(
    documents: Iterable[str],
    merges: int,
    *,
    split_digits: bool = True,
    progress: bool = False,
    say: Callable[[str], None] | None = None,
) -> Tokenizer:
    """Learn `merges` merges from documents with turn markers.

    A corpus larger than `TRAINING_BYTES` is thinned evenly. Merges seen only once
    are not learned, so a small corpus gives a smaller vocabulary.

    Args:
        documents: the text to learn from.
        merges: how many merges to learn; the vocabulary is 256 bytes + merges + 3.
        split_digits: cut numbers off, in threes from the right, as llama.cpp does.
        progress: show on stderr that something is going on.
        say: takes a line that tells how much of the text was used, if not all.

    Raises:
        UserError: `merges` is negative or too large, or there is no document.
    """
    check_merges(merges)
    sample, note = _thin(require_documents(documents, "the corpus"), TRAINING_BYTES)
    if say is not None and note:
        say(note)
    note = f"Training the tokenizer: {merges:,} merges"
    with waiting(note, tell=False) if progress else nullcontext():
        return Tokenizer(_interruptible(lambda: _learn(sample, merges, split_digits)))


def cached_tokenizer(
    path: Path,
    origin: Path,
    corpus_hash: str,
    merges: int,
    train: Callable[[], Tokenizer],
    *,
    split_digits: bool = True,
) -> Tokenizer:
    """The tokenizer at `path` if it was made for this corpus and these settings, else a new one.

    A new one replaces the old one's file.

    Args:
        path: of the `tokenizer.json`; its folder must exist.
        origin: the file that says what it was made for.
        corpus_hash: of the documents that it is trained on.
        merges: that `train` asks for.
        train: makes a new one.
        split_digits: whether the one that `train` makes cuts numbers off.
    """
    wanted = {"recipe": RECIPE, "corpus_hash": corpus_hash, "merges": merges}
    wanted |= digits_setting(split_digits=split_digits)
    try:
        tokenizer = Tokenizer.load(path)
        if recall_json(origin) == {**wanted, "tokenizer_hash": tokenizer.hash}:
            return tokenizer
    except UserError:
        pass  # none yet, or damaged
    tokenizer = train()
    # The tokenizer first: a crash before the second file leaves hashes that disagree.
    tokenizer.save(path)
    remember_origin(origin, wanted, tokenizer)
    return tokenizer


def digits_setting(*, split_digits: bool) -> dict[str, bool]:
    """What is kept of the setting beside a tokenizer: nothing if it is off, as in older files."""
    return {"split_digits": True} if split_digits else {}


def remember_origin(origin: Path, wanted: dict[str, Any], tokenizer: Tokenizer) -> None:
    """Write down what the tokenizer of a run folder was made for."""
    remember_json(origin, {"recipe": RECIPE, **wanted, "tokenizer_hash": tokenizer.hash})


def made_here(origin: Path, tokenizer: Tokenizer) -> bool:
    """Whether a run folder's tokenizer is the one that was written there with its origin."""
    known = recall_json(origin)
    return isinstance(known, dict) and known.get("tokenizer_hash") == tokenizer.hash


def check_merges(merges: int) -> None:
    """`UserError` unless a vocabulary with this many merges can be stored."""
    most = MAX_VOCAB - BYTES - len(MARKERS)
    if not 0 <= merges <= most:
        raise UserError(f"merges must be between 0 and {most}, not {merges}")


def _learn(documents: list[str], merges: int, split_digits: bool) -> str:
    """The `tokenizer.json` learned from documents."""
    tokenizers = tokenizers_library()
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = cuts_to_learn(split_digits=split_digits)
    tokenizer.normalizer = normaliser()
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=len(MARKERS) + BYTES + merges,
        min_frequency=2,
        initial_alphabet=list(byte_alphabet()),
        special_tokens=[
            tokenizers.AddedToken(marker, special=True, normalized=False) for marker in MARKERS
        ],
        show_progress=False,
    )
    # The trainer takes markers for ordinary text, so it is given what stands between them.
    pieces = (piece for document in documents for piece in MARKER.split(document))
    segments = (piece for piece in pieces if piece and piece not in MARKERS)
    tokenizer.train_from_iterator(segments, trainer)
    tokenizer.pre_tokenizer = cuts(split_digits=split_digits)
    return str(tokenizer.to_str(pretty=True))


def _thin(documents: Iterable[str], limit: int) -> tuple[list[str], str]:
    """Every document, or every 2nd, 4th, … so that they come to at most `limit` bytes.

    A single document may exceed the limit; it is cut. Returned too: a line that says how
    much was taken and why, empty for all.
    """
    kept: list[str] = []
    stride, size, whole = 1, 0, 0
    for number, document in enumerate(documents):
        whole += _size(document)
        if number % stride:
            continue
        kept.append(document[:limit])
        size += _size(kept[-1])
        while size > limit and len(kept) > 1:
            kept, stride = kept[::2], stride * 2
            size = sum(map(_size, kept))
    if size == whole:
        return kept, ""
    return kept, (
        f"merges are learned from {size / 1e6:.1f} of {whole / 1e6:,.1f} MB of text "
        f"(1 document in {stride}, evenly): more takes longer and learns no better ones"
    )


def _size(text: str) -> int:
    return len(text.encode("utf-8"))


def _interruptible(work: Callable[[], T]) -> T:
    """Do `work` in a thread, so that Ctrl-C does not wait for one long call into Rust."""
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return outcome.result()
