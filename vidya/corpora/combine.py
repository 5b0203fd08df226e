"""Mixing corpora of any size: weights, exact de-duplication, a shuffle, documents held out.

Two passes, both sequential, as an external sort makes them:

1. The corpora are read once. Each document goes to the part that a hash of it names, so
   equal documents meet in one part. Parts are nameless files beside the output, which
   vanish with the process, however it ends.
2. Part after part is read into memory, freed of repetitions, weighted, shuffled and
   written. Parts are documents taken at random, so the whole is shuffled too.

Memory holds a part and what tells its documents apart, never the whole corpus. What a
document's fate depends on is its text, the seed and the weight of the first corpus that
has it, so the same command gives the same files.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from vidya.errors import UserError
from vidya.system.atomic_file import atomic_write
from vidya.terminal.formatting import plural
from vidya.text import corpus_file, held_out_split
from vidya.text.batch_plan import permutation
from vidya.text.tokenised_text import TokenisedDocuments
from vidya.text.tokenizer import Tokenizer

PART_BYTES = 64_000_000
"""Of text in a part, about. A part of short lines takes some ten times as much memory."""
_MAX_PARTS = 256
_BUFFER = 1 << 18


@dataclass
class MixedCorpus:
    """A corpus to be mixed, and what became of its documents."""

    path: Path
    weight: float = 1.0
    """Share of its documents to take; above 1, how often each is to be there."""
    documents: int = 0
    size: int = 0
    """Bytes of them, line ends included."""
    duplicates: int = 0
    """That stood before, in this corpus or in an earlier one."""
    held_out: int = 0
    not_taken: int = 0
    """That the weight left out."""
    repeats: int = 0
    """Further copies that the weight asked for."""
    spacing: TokenisedDocuments = field(default_factory=TokenisedDocuments, compare=False)
    """Those that are written with spaces around their marks."""

    def line(self) -> str:
        """What became of it, in a line."""
        by_weight = f"by weight {self.weight:g}"
        fates = [(self.duplicates, "duplicate"), (self.not_taken, f"left out {by_weight}")]
        dropped = ", ".join(f"{count:,} {fate}" for count, fate in fates if count)
        others = [(self.held_out, "held out"), (self.repeats, f"copies {by_weight}")]
        more = "".join(f"; {count:,} {fate}" for count, fate in others if count)
        return (
            f"{self.path}: {self.documents:,} documents, {self.size:,} bytes; "
            f"dropped: {dropped or 'none'}{more}"
        )


@dataclass
class WrittenCorpus:
    """A corpus file that is being written."""

    path: Path
    tokenizer: Tokenizer | None = None
    """Counts the tokens, if given."""
    documents: int = 0
    size: int = 0
    """Bytes, line ends included."""
    tokens: int = 0

    def write(self, file: IO[bytes], documents: Sequence[bytes]) -> None:
        """Add documents, which are lines with their ends."""
        file.writelines(documents)
        self.documents += len(documents)
        self.size += sum(map(len, documents))
        if self.tokenizer is not None:
            texts = (document[:-1].decode() for document in documents)
            for chunk in corpus_file.in_chunks(texts):
                self.tokens += sum(map(len, self.tokenizer.encode_documents(chunk)))

    def line(self) -> str:
        """What was written, in a line."""
        tokens = "" if self.tokenizer is None else f", {self.tokens:,} tokens"
        return f"{self.path}: {self.documents:,} documents, {self.size:,} bytes{tokens}"


@dataclass(frozen=True)
class MixtureReport:
    """What a mixture was made of, and what came out."""

    inputs: list[MixedCorpus]
    train: WrittenCorpus
    held_out: WrittenCorpus | None = None

    def __str__(self) -> str:
        lines = [one.line() for one in self.inputs] + [one.line() for one in self.outputs]
        lines += [told for one in self.inputs if (told := one.spacing.line(str(one.path)))]
        return "\n".join(lines)

    @property
    def outputs(self) -> list[WrittenCorpus]:
        """The files that were written."""
        return [self.train] if self.held_out is None else [self.train, self.held_out]


def combine_corpora(
    inputs: Sequence[Path],
    out: Path,
    *,
    weights: Sequence[float] = (),
    val_out: Path | None = None,
    val_fraction: float = 0.02,
    seed: int = 0,
    tokenizer: Tokenizer | None = None,
) -> MixtureReport:
    """Mix corpus files into `out`, and `val_out` if given; tell what became of them.

    Needs as much free disk as the inputs take, twice, for as long as it runs.

    Args:
        inputs: corpus files, read once, in their order.
        out: the mixture, or its training part if there is a `val_out`.
        weights: one for each input: the share of its documents to take, chosen by hash
            and seed; 2.5 takes each twice and half of them a third time. None given: 1.
            A document that stands in several corpora counts as one of the first.
        val_out: where the documents held out go, each once: weights do
            not apply to them, and no copy of them stays in `out`.
        val_fraction: share of documents held out.
        seed: of the order, and of what a weight leaves out.
        tokenizer: counts the tokens of the result.

    Raises:
        UserError: no inputs, bad weights, no documents, an output that is also an input,
            or a split that leaves one side empty.
    """
    if not inputs:
        raise UserError("name at least one file to read")
    corpus_file.prepare_output(out, inputs)
    if val_out is not None:
        corpus_file.prepare_output(val_out, [*inputs, out])
    held_out_split.check_fraction(val_fraction)
    sources = [
        MixedCorpus(*one) for one in zip(inputs, _checked(weights, len(inputs)), strict=True)
    ]
    report = MixtureReport(
        sources,
        WrittenCorpus(out, tokenizer),
        None if val_out is None else WrittenCorpus(val_out, tokenizer),
    )
    fraction = 0.0 if val_out is None else val_fraction

    def write(file: IO[bytes], val_file: IO[bytes] | None) -> None:
        with ExitStack() as stack:
            parts = _distribute(sources, seed, out.parent, stack)
            for number, part in enumerate(parts):
                train, held_out = part.chosen(sources, fraction, seed, number)
                report.train.write(file, train)
                if report.held_out is not None and val_file is not None:
                    report.held_out.write(val_file, held_out)
        _refuse_empty_mixture(report, val_fraction)

    def write_both(file: IO[bytes]) -> None:
        if val_out is None:
            write(file, None)
        else:
            atomic_write(val_out, lambda val_file: write(file, val_file))

    atomic_write(out, write_both)
    return report


def _checked(weights: Sequence[float], inputs: int) -> list[float]:
    """A weight for each input; UserError if those given cannot be that."""
    if not weights:
        return [1.0] * inputs
    if len(weights) != inputs:
        given, files = plural(len(weights), "weight"), plural(inputs, "file")
        raise UserError(f"{given} for {files}: give one for each, in their order")
    for weight in weights:
        if not (math.isfinite(weight) and weight > 0):
            raise UserError(f"a weight must be above 0, not {weight:g}: leave out what has no part")
    return list(weights)


def _refuse_empty_mixture(report: MixtureReport, fraction: float) -> None:
    if all(output.documents for output in report.outputs):
        return
    names = ", ".join(str(one.path) for one in report.inputs)
    different = sum(one.documents - one.duplicates for one in report.inputs)
    if not different:
        raise UserError(f"{names} holds no document: put text into it")
    if report.held_out is None or any(one.not_taken for one in report.inputs):
        raise UserError(f"the weights leave nothing of {names}: give larger ones")
    raise UserError(
        f"{different} different documents are too few to hold out {fraction} of them: "
        "give more text or another --val-fraction"
    )


# ---------------------------------------------------------------- the parts


@dataclass
class _Part:
    """Documents that a hash put together, in the order in which they were read."""

    file: IO[bytes]
    counts: list[int]
    """Documents of each input."""

    def chosen(
        self, inputs: Sequence[MixedCorpus], fraction: float, seed: int, number: int
    ) -> tuple[list[bytes], list[bytes]]:
        """Lines to train on and lines held out, shuffled; what becomes of each is counted."""
        lines: list[bytes] = []  # each as often as it is wanted
        held_out = bytearray()  # of each, whether it is held out
        seen: set[bytes] = set()
        self.file.seek(0)
        for source, count in zip(inputs, self.counts, strict=True):
            for _ in range(count):
                line = self.file.readline()
                digest = _line_digest(line, seed)
                if digest in seen:
                    source.duplicates += 1
                    continue
                seen.add(digest)
                held = fraction > 0 and held_out_split.is_held_out(line[:-1].decode(), fraction)
                copies = 1 if held else _copies(digest, source.weight)
                source.held_out += held
                source.not_taken += copies == 0
                source.repeats += max(0, copies - 1)
                lines += [line] * copies
                held_out += bytes([held]) * copies
        order = permutation(len(lines), seed, number).tolist()
        return (
            [lines[index] for index in order if not held_out[index]],
            [lines[index] for index in order if held_out[index]],
        )


def _distribute(
    inputs: Sequence[MixedCorpus], seed: int, folder: Path, stack: ExitStack
) -> Sequence[_Part]:
    """Read all inputs into parts; their files are closed with `stack`."""
    size = 0
    for source in inputs:
        with contextlib.suppress(OSError):  # reading it says what is wrong
            size += source.path.stat().st_size
    number = min(_MAX_PARTS, max(1, -(-size // PART_BYTES)))
    parts = []
    for _ in range(number):
        file = stack.enter_context(tempfile.TemporaryFile(dir=folder, buffering=_BUFFER))
        parts.append(_Part(file, [0] * len(inputs)))
    for index, source in enumerate(inputs):
        for document in source.spacing.passing(corpus_file.read_documents(source.path)):
            line = document.encode() + b"\n"
            source.documents += 1
            source.size += len(line)
            part = parts[int.from_bytes(_line_digest(line, seed)[:4], "little") % number]
            part.file.write(line)
            part.counts[index] += 1
    return parts


def _line_digest(line: bytes, seed: int) -> bytes:
    """16 bytes that tell documents apart; random, and others for another seed."""
    key = (seed % 2**64).to_bytes(8, "little")
    return hashlib.blake2b(line, digest_size=16, key=key).digest()


def _copies(digest: bytes, weight: float) -> int:
    """How often a document of this digest is taken: `weight` on average."""
    chance = int.from_bytes(digest[8:], "little") / 2.0**64
    return math.floor(weight) + (chance < weight % 1.0)
