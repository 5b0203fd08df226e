"""What it costs to cut digits off as llama.cpp does: tokens, seconds, lines with other ids there.

    python bench/digit_cuts.py TRAIN HELD_OUT [--merges 2000 4000] [--rounds 3]

TRAIN and HELD_OUT are corpus files. Tokenizers are learnt from TRAIN with and without
`--no-split-digits`, in turn, and HELD_OUT is encoded with each. The lines of HELD_OUT with other
ids in llama.cpp are counted as an export counts them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from vidya.exporting.gguf_tokenizer import other_ids
from vidya.text.corpus_file import read_documents
from vidya.text.normalisation import normalised
from vidya.text.tokenizer import Tokenizer
from vidya.text.tokenizer_report import statistics
from vidya.text.tokenizer_training import train_tokenizer

T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What some work gives, and the processor seconds that it took."""
    begun = time.process_time()
    return work(), time.process_time() - begun


def main() -> None:
    """Print a table, a line a tokenizer."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("held_out", type=Path)
    parser.add_argument("--merges", type=int, nargs="+", default=[2000, 4000])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    learnt_from = list(read_documents(options.train))
    lines = list(read_documents(options.held_out))
    print(f"{len(learnt_from):,} documents, {len(lines):,} held out; processor seconds")
    print("| merges | digits | bytes a token | tokens | learning | encoding | other ids |")
    print("|---|---|---|---|---|---|---|")
    for merges in options.merges:
        learning: dict[bool, list[float]] = {False: [], True: []}
        encoding: dict[bool, list[float]] = {False: [], True: []}
        made: dict[bool, Tokenizer] = {}
        for _ in range(options.rounds):
            for cut in (False, True):
                learn = partial(train_tokenizer, learnt_from, merges, split_digits=cut)
                made[cut], seconds = timed(learn)
                learning[cut].append(seconds)
                _, seconds = timed(partial(made[cut].encode_documents, lines))
                encoding[cut].append(seconds)
        for cut, tokenizer in made.items():
            found = statistics(tokenizer, lines)
            other = other_ids(tokenizer, map(normalised, lines)).other
            print(
                f"| {merges:,} | {'cut off' if cut else 'in words'} "
                f"| {found['bytes_per_token']:.4f} | {found['tokens']:,.0f} "
                f"| {min(learning[cut]):.1f} | {min(encoding[cut]):.2f} "
                f"| {other:,} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
