"""Make corpora: `python -m vidya.data chat|text|chitchat|dailydialog|combine`.

- `chat`, `text`, `chitchat` and `dailydialog` write a corpus file out of a source.
- `combine` mixes corpus files by weight: exact repetitions dropped, shuffled by seed, some
  documents held out by a hash of their text, so that none ever changes sides.
- Everything streams: memory does not grow with the corpus.
- Output appears whole or not at all.
"""

# No `from __future__ import annotations` here: tyro reads the annotations of the
# commands, which name things that are imported only when a command runs.

import functools
from pathlib import Path
from typing import Annotated

from vidya.corpora.chitchat import chitchat_documents
from vidya.corpora.conversation_turns import System
from vidya.corpora.dailydialog import dailydialog_documents
from vidya.corpora.plain_text import TextLayout
from vidya.errors import place_chosen_with
from vidya.terminal.command_frame import run_command
from vidya.terminal.command_line import Subcommands
from vidya.terminal.streams import show
from vidya.text.corpus_file import Dropped, convert, write_corpus


@place_chosen_with("--out")
def main() -> int | None:
    """Run `python -m vidya.data`."""
    from tyro.conf import Positional, arg

    app = Subcommands("data", __doc__, writes_files=True)

    @app.command
    def chitchat(*, out: Path) -> None:
        """Write the human conversations of the pip package chitchat-dataset.

        Args:
            out: corpus file to write.
        """
        dropped: Dropped = Dropped()
        show(write_corpus(chitchat_documents(dropped), out, [], dropped))

    @app.command
    def dailydialog(paths: Positional[tuple[Path, ...]], *, out: Path, as_is: bool = False) -> None:
        """Convert DailyDialog, from its text files or from zips with them in.

        Args:
            paths: dialogues_*.txt, or zips.
            out: corpus file to write.
            as_is: keep the spaces that the corpus has around marks, as in `Hello , you .`;
                by default text is as people write it.
        """
        show(convert(paths, out, functools.partial(dailydialog_documents, as_is=as_is)))

    @app.with_examples(
        ("chats.jsonl --out corpus.txt", "conversations of a file, a line each"),
        ("*.parquet --out corpus.txt --max-bad 5%", "several files, some rows of which are bad"),
    )
    def chat(
        paths: Positional[tuple[Path, ...]], *, out: Path, system: System = "drop",
        max_bad: str = "1%", as_is: bool = False,
    ) -> None:  # fmt: skip
        """Convert conversations in any layout that people keep them in.

        Read are lists of messages (role and content, or ShareGPT's from and value), lists of
        texts (UltraChat), questions with answers (prompt and response, Alpaca, …) and turns
        written out (ChatML, "User: … Assistant: …"), from JSONL, JSON, CSV, parquet (needs
        pyarrow), Arrow and text, packed or not. Line breaks inside a turn become ↵.

        Args:
            paths: files, in any mixture.
            out: corpus file to write.
            system: what becomes of system messages: left out; put before what the user says
                next; or kept before the first turn, where the model reads it as text.
            max_bad: rows of a file that may be bad, as a share (of which 10 are always allowed)
                or a number; they are skipped, told and counted.
            as_is: keep the spaces around marks of tokenised text (`Hello , you .`); by default
                text is as people write it.
        """
        from vidya.corpora.chat_file import convert_chat

        show(convert_chat(paths, out, system=system, max_bad=max_bad, as_is=as_is))

    @app.command
    def ultrachat(
        paths: Positional[tuple[Path, ...]], *, out: Path, system: System = "drop",
        max_bad: str = "1%", as_is: bool = False,
    ) -> None:  # fmt: skip
        """Do what `chat` does, by its earlier name.

        Args:
            paths: files, in any mixture.
            out: corpus file to write.
            system: as for chat.
            max_bad: as for chat.
            as_is: as for chat.
        """
        chat(paths, out=out, system=system, max_bad=max_bad, as_is=as_is)

    @app.with_examples(
        ("notes.txt --out corpus.txt", "a document a line"),
        ("book.txt --by passage --out corpus.txt", "passages of a book"),
    )
    def text(
        paths: Positional[tuple[Path, ...]],
        *,
        out: Path,
        layout: Annotated[TextLayout, arg(name="")] = TextLayout(),  # noqa: B008
    ) -> None:
        """Take any text files; for a book, --by passage makes the best use of the context.

        JSON, CSV and parquet are read as well: their column of texts (--column).

        Args:
            paths: text files.
            out: corpus file to write.
            layout: how documents are told from each other.
        """
        layout.check()
        show(convert(paths, out, layout.documents))

    @app.with_examples(
        ("a.txt b.txt --out all.txt", "both, without repetitions"),
        ("a.txt b.txt --weights 1 0.5 --out all.txt --val-out held.txt", "half of b, some apart"),
    )
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
        from vidya.corpora.combine import combine_corpora
        from vidya.text.tokenizer import Tokenizer

        counting = None if tokenizer is None else Tokenizer.load(tokenizer)
        report = combine_corpora(
            paths, out, weights=weights, val_out=val_out, val_fraction=val_fraction,
            seed=seed, tokenizer=counting,
        )  # fmt: skip
        show(str(report))

    app.run()
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
