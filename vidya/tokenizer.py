"""Make, measure and try tokenizers: `python -m vidya.tokenizer train|stats|encode`."""

import sys
from pathlib import Path
from typing import Annotated

from vidya.errors import place_chosen_with
from vidya.terminal.command_frame import run_command
from vidya.terminal.command_line import Subcommands
from vidya.terminal.formatting import read_as_utf8
from vidya.terminal.streams import output_is_not_essential, show
from vidya.text.corpus_file import prepare_output


@place_chosen_with("--out")
def main() -> int | None:
    """Run `python -m vidya.tokenizer`."""
    from tyro.conf import Positional, arg

    app = Subcommands("tokenizer", __doc__)

    @app.command
    def train(
        files: Positional[tuple[Path, ...]],
        *,
        merges: int = 4000,
        split_digits: bool = True,
        out: Path = Path("tokenizer.json"),
        compare_with: Annotated[Path | None, arg(name="compare")] = None,
    ) -> None:
        """Learn a tokenizer from text files and say how well it packs them.

        Args:
            files: UTF-8 text, one document a line.
            merges: merges to learn; the vocabulary is 256 bytes + merges + 3 markers.
            split_digits: cut numbers off, in threes from the right: llama.cpp does, and so reads
                text in the same tokens.
            out: where to write it.
            compare_with: a tokenizer.json to put beside it: vocabulary, tokens, characters
                a token on the same text.
        """
        output_is_not_essential()
        from vidya.storage.own_files import is_tokenizer_head
        from vidya.storage.run_files import require_not_of_model
        from vidya.system.replaced_output import require_replaceable
        from vidya.text import tokenizer_report as report
        from vidya.text.tokenizer import Tokenizer
        from vidya.text.tokenizer_training import train_tokenizer

        old = None if compare_with is None else Tokenizer.load(compare_with)
        inputs = [*files, *([compare_with] if compare_with else [])]
        prepare_output(out, inputs, of_text=False)
        require_replaceable(out, is_tokenizer_head, "a tokenizer of vidya")
        require_not_of_model(out)
        documents = report.read_all_documents
        tokenizer = train_tokenizer(
            documents(files), merges, split_digits=split_digits, progress=True, say=show
        )
        tokenizer.save(out)
        show(report.describe_statistics(tokenizer, documents(files)))
        if old is not None:
            show(report.compare_tokenizers(tokenizer, old, lambda: documents(files)))

    @app.command
    def stats(tokenizer: Positional[Path], files: Positional[tuple[Path, ...]]) -> None:
        """Say how well a tokenizer packs text files.

        Args:
            tokenizer: a tokenizer.json.
            files: UTF-8 text, one document a line.
        """
        from vidya.text.tokenizer import Tokenizer
        from vidya.text.tokenizer_report import describe_statistics, read_all_documents

        show(describe_statistics(Tokenizer.load(tokenizer), read_all_documents(files)))

    @app.command
    def encode(
        tokenizer: Positional[Path], text: Positional[str] = "-", *, plain: bool = False
    ) -> None:
        """Print the token ids of a text.

        Args:
            tokenizer: a tokenizer.json.
            text: the text; - reads it from standard input.
            plain: take turn markers in it for ordinary text.
        """
        from vidya.text.tokenizer import Tokenizer
        from vidya.user_files.text_input import text_of

        loaded = Tokenizer.load(tokenizer)
        if text == "-":
            text = text_of(sys.stdin.buffer.read(), "standard input")
        text = read_as_utf8(text)
        ids = loaded.encode_text(text) if plain else loaded.encode_marked(text)
        print(*ids)

    app.run()
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
