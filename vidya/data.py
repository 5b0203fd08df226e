"""Make corpora: `python -m vidya.data chitchat|dailydialog|ultrachat|text|combine`.

- `chitchat`, `dailydialog`, `ultrachat` and `text` write a corpus file out of a source.
- `combine` mixes corpus files by weight: exact repetitions dropped, shuffled by seed, some
  documents held out by a hash of their text, so that none ever changes sides.
- Everything streams: memory does not grow with the corpus.
- Output appears whole or not at all.
"""

# No `from __future__ import annotations` here: tyro reads the annotations of the
# commands, which name things that are imported only when a command runs.

import functools
from pathlib import Path

from vidya.errors import place_chosen_with
from vidya.terminal.command_frame import run_command
from vidya.terminal.command_line import Subcommands
from vidya.text import plain_text
from vidya.text.chat_json import ultrachat_documents
from vidya.text.chitchat import chitchat_documents
from vidya.text.corpus_file import Dropped, convert, write_corpus
from vidya.text.dailydialog import dailydialog_documents


@place_chosen_with("--out")
def main() -> int | None:
    """Run `python -m vidya.data`."""
    from tyro.conf import Positional

    app = Subcommands("data", __doc__, writes_files=True)

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
        print(convert(paths, out, dailydialog_documents))

    @app.command
    def ultrachat(paths: Positional[tuple[Path, ...]], *, out: Path) -> None:
        """Convert UltraChat, or any conversations as lists of messages with role and content.

        Line breaks inside a turn become ↵. Conversations that cannot be used are dropped,
        and counted by reason. Parquet needs the pip package pyarrow.

        Args:
            paths: parquet files, or JSONL files (plain or gzip), in any mixture.
            out: corpus file to write.
        """
        left_out = Dropped()
        converter = functools.partial(ultrachat_documents, left_out=left_out)
        print(convert(paths, out, converter, left_out))

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
            characters: length of a passage, about.
        """
        print(convert(paths, out, lambda path, _: plain_text.text_documents(path, by, characters)))

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
        """Mix corpus files: drop exact repetitions, shuffle, hold some documents out.

        Args:
            paths: corpus files.
            out: corpus file to write.
            weights: one for each corpus, in order: 0.5 takes half of its documents, 2 takes
                each of them twice; by default all count 1. Held-out documents take no part.
            val_out: corpus file for the documents held out; without it none are.
            val_fraction: share held out; a document's own text decides, so it never changes sides.
            seed: another seed gives another order, and a weight leaves other documents out.
            tokenizer: a tokenizer.json, to count the tokens of the result.
        """
        from vidya.text.combine import combine_corpora
        from vidya.text.tokenizer import Tokenizer

        counting = None if tokenizer is None else Tokenizer.load(tokenizer)
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
