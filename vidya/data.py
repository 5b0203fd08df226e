"""Make corpora: `python -m vidya.data chitchat|dailydialog|text|combine`.

- `chitchat`, `dailydialog` and `text` write a corpus file out of a source.
- `combine` mixes corpus files: exact repetitions dropped, shuffled by seed, a
  validation split held out by a hash of the document, so that it never moves.
- Output appears whole or not at all.
"""

# No `from __future__ import annotations` here: tyro reads the annotations of the
# commands, which name things that are imported only when a command runs.

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from vidya import corpus
from vidya.atomic import atomic_write
from vidya.corpus import Dropped
from vidya.errors import UserError, run_command


def write_corpus(
    documents: Iterable[str], out: Path, inputs: Sequence[Path], dropped: Dropped
) -> str:
    """Write documents to the file `out` and return a line that says what was written.

    Args:
        documents: what to write, one a line.
        out: the file; its folder is made if need be.
        inputs: the files that `documents` reads, none of which may be `out`.
        dropped: counted while `documents` is read.

    Raises:
        UserError: `out` is an input or a folder, or there is no document.
    """
    corpus.prepare_output(out, inputs)
    some = corpus.require_documents(documents, ", ".join(map(str, inputs)) or "the source")
    written = _Written()
    atomic_write(out, lambda file: written.write_all(file, some))
    return _report(out, written, dropped)


def combine_corpora(
    inputs: Sequence[Path],
    out: Path,
    *,
    val_out: Path | None = None,
    val_fraction: float = 0.02,
    seed: int = 0,
) -> str:
    """Mix corpus files into `out`, and `val_out` if given; return a line for each.

    Memory holds an offset and a digest of each document, never the text.

    Args:
        inputs: corpus files, read twice.
        out: the mixture, or its training part if there is a `val_out`.
        val_out: where the documents held out for validation go.
        val_fraction: share of documents held out.
        seed: of the order.

    Raises:
        UserError: no inputs, no documents, an output that is also an input, or a split
            that leaves one side empty.
    """
    _check_inputs(inputs)
    corpus.prepare_output(out, inputs)
    if val_out is not None:
        corpus.prepare_output(val_out, [*inputs, out])
    corpus.check_fraction(val_fraction)
    dropped: Dropped = Dropped()
    plan = _Plan(inputs, val_fraction if val_out is not None else 0.0, dropped)
    if not plan.count(held_out=False) or (val_out is not None and not plan.count(held_out=True)):
        found = plan.count(held_out=False) + plan.count(held_out=True)
        raise UserError(
            f"{found} different documents are too few to hold out {val_fraction} of them "
            "for validation: give more text or another --val-fraction"
            if found
            else f"{', '.join(map(str, inputs))} holds no document: put text into it"
        )
    written, written_val = _Written(), _Written()

    def write_both(file: IO[bytes]) -> None:
        written.write_all(file, plan.shuffled(seed, held_out=False))
        if val_out is not None:
            held_out = plan.shuffled(seed, held_out=True)
            atomic_write(val_out, lambda other: written_val.write_all(other, held_out))

    atomic_write(out, write_both)
    report = _report(out, written, dropped)
    if val_out is not None:
        report += "\n" + _report(val_out, written_val, Dropped())
    return report


class _Plan:
    """Where the different documents of some files lie, and which are held out."""

    def __init__(self, inputs: Sequence[Path], fraction: float, dropped: Dropped) -> None:
        self._inputs = inputs
        self._files = array("l")
        self._offsets = array("q")
        self._held_out = array("b")
        seen: set[bytes] = set()
        for number, path in enumerate(inputs):
            for offset, document in corpus.located_documents(path):
                digest = hashlib.blake2b(document.encode(), digest_size=16).digest()
                if digest in seen:
                    dropped["duplicate"] += 1
                    continue
                seen.add(digest)
                self._files.append(number)
                self._offsets.append(offset)
                self._held_out.append(corpus.is_validation(document, fraction))

    def count(self, *, held_out: bool) -> int:
        """Number of documents that are held out, or of the others."""
        return self._held_out.count(held_out)

    def shuffled(self, seed: int, *, held_out: bool) -> Iterator[str]:
        """The documents that are held out, or the others, in an order given by the seed."""
        from vidya.batches import permutation

        with ExitStack() as stack:
            files = [stack.enter_context(corpus.open_input(path)) for path in self._inputs]
            for index in permutation(len(self._offsets), seed, 0).tolist():
                if self._held_out[index] == held_out:
                    yield corpus.document_at(files[self._files[index]], self._offsets[index])


class _Written:
    """Counts what is written to a corpus file."""

    def __init__(self) -> None:
        self.documents = 0
        self.bytes = 0

    def write_all(self, file: IO[bytes], documents: Iterable[str]) -> None:
        """Write one document a line."""
        for document in documents:
            self.bytes += file.write(document.encode("utf-8") + b"\n")
            self.documents += 1


def _report(out: Path, written: _Written, dropped: Dropped) -> str:
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(dropped.items()))
    return (
        f"{out}: {written.documents:,} documents, {written.bytes:,} bytes; "
        f"dropped: {reasons or 'none'}"
    )


def _check_inputs(inputs: Sequence[Path]) -> None:
    if not inputs:
        raise UserError("name at least one file to read")


def _convert(
    paths: Sequence[Path], out: Path, converter: Callable[[Path, Dropped], Iterable[str]]
) -> None:
    """Convert each of `paths`, write the documents to `out`, print what was done."""
    _check_inputs(paths)
    dropped: Dropped = Dropped()
    documents = (document for path in paths for document in converter(path, dropped))
    print(write_corpus(documents, out, paths, dropped))


def main() -> int | None:
    """Run `python -m vidya.data`."""
    from tyro.conf import Positional

    from vidya.command_line import Subcommands

    app = Subcommands("data", __doc__)

    @app.command
    def chitchat(*, out: Path) -> None:
        """Write the human conversations of the pip package chitchat-dataset.

        Args:
            out: corpus file to write.
        """
        dropped: Dropped = Dropped()
        print(write_corpus(corpus.chitchat_documents(dropped), out, [], dropped))

    @app.command
    def dailydialog(paths: Positional[tuple[Path, ...]], *, out: Path) -> None:
        """Convert DailyDialog, from its text files or from zips with them in.

        Args:
            paths: dialogues_*.txt, or zips.
            out: corpus file to write.
        """
        _convert(paths, out, corpus.dailydialog_documents)

    @app.command
    def text(paths: Positional[tuple[Path, ...]], *, out: Path) -> None:
        """Take any text files: every line that is not blank is a document.

        Args:
            paths: UTF-8 text files.
            out: corpus file to write.
        """
        _convert(paths, out, lambda path, dropped: corpus.text_documents(path))

    @app.command
    def combine(
        paths: Positional[tuple[Path, ...]],
        *,
        out: Path,
        val_out: Path | None = None,
        val_fraction: float = 0.02,
        seed: int = 0,
    ) -> None:
        """Mix corpus files: drop exact repetitions, shuffle, hold out a validation split.

        Args:
            paths: corpus files.
            out: corpus file to write.
            val_out: corpus file for the documents held out; without it none are.
            val_fraction: share held out; a document's own text decides, so it never changes sides.
            seed: of the order.
        """
        print(combine_corpora(paths, out, val_out=val_out, val_fraction=val_fraction, seed=seed))

    app.run()
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
