"""Make corpora: `python -m vidya.data chitchat|dailydialog|ultrachat|text|combine`.

- `chitchat`, `dailydialog`, `ultrachat` and `text` write a corpus file out of a source.
- `combine` mixes corpus files by weight: exact repetitions dropped, shuffled by seed, a
  validation split held out by a hash of the document, so that it never moves.
- Everything streams: memory does not grow with the corpus.
- Output appears whole or not at all.
"""

# No `from __future__ import annotations` here: tyro reads the annotations of the
# commands, which name things that are imported only when a command runs.

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO

from vidya.errors import UserError, run_command
from vidya.system.atomic_file import atomic_write
from vidya.text import corpus_file, plain_text
from vidya.text.chat_json import ultrachat_documents
from vidya.text.chitchat import chitchat_documents
from vidya.text.combine import combine_corpora
from vidya.text.corpus_file import Dropped
from vidya.text.dailydialog import dailydialog_documents


def write_corpus(
    documents: Iterable[str],
    out: Path,
    inputs: Sequence[Path],
    dropped: Dropped,
    left_out: Dropped | None = None,
) -> str:
    """Write documents to the file `out` and return a line that says what was written.

    Args:
        documents: what to write, one a line.
        out: the file; its folder is made if need be.
        inputs: the files that `documents` reads, none of which may be `out`.
        dropped: documents dropped, counted while `documents` is read.
        left_out: parts left out of documents that were kept, counted likewise.

    Raises:
        UserError: `out` is an input or a folder, or there is no document.
    """
    corpus_file.prepare_output(out, inputs)
    written = _Written()

    def write(file: IO[bytes]) -> None:
        written.write_all(file, documents)
        if not written.documents:
            name = ", ".join(map(str, inputs)) or "the source"
            because = f" ({_counted(dropped)} dropped)" if dropped.total() else ""
            raise UserError(f"{name} holds no document{because}: put text into it")

    atomic_write(out, write)
    parts = f"; left out of them: {_counted(left_out)}" if left_out and left_out.total() else ""
    return (
        f"{out}: {written.documents:,} documents, {written.bytes:,} bytes; "
        f"dropped: {_counted(dropped)}{parts}"
    )


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


def _counted(reasons: Dropped) -> str:
    some = sorted((reason, count) for reason, count in reasons.items() if count)
    return ", ".join(f"{count:,} {reason}" for reason, count in some) or "none"


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

    from vidya.terminal.command_line import Subcommands

    app = Subcommands("data", __doc__)

    @app.command
    def chitchat(*, out: Path) -> None:
        """Write the human conversations of the pip package chitchat-dataset.

        Args:
            out: corpus file to write.
        """
        dropped: Dropped = Dropped()
        print(write_corpus(chitchat_documents(dropped), out, [], dropped))

    @app.command
    def dailydialog(paths: Positional[tuple[Path, ...]], *, out: Path) -> None:
        """Convert DailyDialog, from its text files or from zips with them in.

        Args:
            paths: dialogues_*.txt, or zips.
            out: corpus file to write.
        """
        _convert(paths, out, dailydialog_documents)

    @app.command
    def ultrachat(paths: Positional[tuple[Path, ...]], *, out: Path) -> None:
        """Convert UltraChat, or any conversations as lists of messages with role and content.

        Line breaks inside a turn become ↵. Conversations that cannot be used are dropped,
        and counted by reason. Parquet needs the pip package pyarrow.

        Args:
            paths: parquet files, or JSONL files (plain or gzip), in any mixture.
            out: corpus file to write.
        """
        _check_inputs(paths)
        dropped, left_out = Dropped(), Dropped()
        documents = (
            document for path in paths for document in ultrachat_documents(path, dropped, left_out)
        )
        print(write_corpus(documents, out, paths, dropped, left_out))

    @app.command
    def text(
        paths: Positional[tuple[Path, ...]],
        *,
        out: Path,
        by: plain_text.By = "line",
        characters: int = plain_text.PASSAGE,
    ) -> None:
        """Take any text files; for a book, --by passage makes the best use of the context.

        Args:
            paths: UTF-8 text files.
            out: corpus file to write.
            by: what becomes a document: a line that is not blank, a paragraph (text between
                blank lines), a passage of several paragraphs, or a whole file.
            characters: of a passage, about.
        """
        _convert(paths, out, lambda path, dropped: plain_text.text_documents(path, by, characters))

    @app.command
    def combine(
        paths: Positional[tuple[Path, ...]],
        *,
        out: Path,
        weights: tuple[float, ...] = (),
        val_out: Path | None = None,
        val_fraction: float = 0.02,
        seed: int = 0,
        tokenizer: Path | None = None,
    ) -> None:
        """Mix corpus files: drop exact repetitions, shuffle, hold out a validation split.

        Args:
            paths: corpus files.
            out: corpus file to write.
            weights: one for each corpus, in order: 0.5 takes half of its documents, 2 takes
                each of them twice; by default all count 1. The validation split takes no part.
            val_out: corpus file for the documents held out; without it none are.
            val_fraction: share held out; a document's own text decides, so it never changes sides.
            seed: of the order, and of what a weight leaves out.
            tokenizer: a tokenizer.json, to count the tokens of the result.
        """
        counting = None
        if tokenizer is not None:
            from vidya.text.tokenizer import Tokenizer

            counting = Tokenizer.load(tokenizer)
        print(
            combine_corpora(
                paths, out, weights=weights, val_out=val_out, val_fraction=val_fraction,
                seed=seed, tokenizer=counting,
            )
        )  # fmt: skip

    app.run()
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
