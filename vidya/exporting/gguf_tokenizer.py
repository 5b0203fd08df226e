"""A tokenizer as llama.cpp has it: tokens, merges, and how its ids may differ from vidya's.

llama.cpp knows ways to cut text before merging by name alone. Ours, which lets merges cross words,
is nearest to its `superbpe`, which cuts nothing but runs of digits, in groups of three from the
right: as ours (vidya/text/cutting.py), but for those of earlier versions, which joined digits to
other letters, and cut long turns into pieces of 400 characters.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vidya.errors import UserError
from vidya.storage.pretrained import Pretrained
from vidya.storage.run_files import RunFiles
from vidya.text.corpus_file import in_chunks
from vidya.text.token_cache import TokenCache
from vidya.text.tokenizer import Tokenizer, tokenizers_library

CUTTING = "superbpe"
"""llama.cpp's name for the way of cutting."""
LINES = 10_000
"""Lines of the corpus whose ids are compared."""
MOST_OTHER = 0.01
"""Share of lines with other ids above which an export is refused."""
_CUTS = (r"\p{N}+", r"(?=([0-9]{3})+(?![0-9]))")
"""What `superbpe` cuts at, one after the other; its \\d is ASCII's."""


@dataclass(frozen=True)
class Vocabulary:
    """Tokens in the order of their ids, in the alphabet of byte-level BPE."""

    tokens: list[str]
    special: list[bool]
    """Which of them are markers."""
    merges: list[str]
    """Two tokens each, with a space between them, in the order in which they are made."""


def vocabulary(tokenizer: Tokenizer) -> Vocabulary:
    """The vocabulary of a tokenizer."""
    content = json.loads(tokenizer.json_text)
    model = content["model"]
    ids: dict[str, int] = model["vocab"] | {t["content"]: t["id"] for t in content["added_tokens"]}
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    special = {token["id"] for token in content["added_tokens"]}
    return Vocabulary(
        sorted(ids, key=ids.__getitem__), [i in special for i in range(len(ids))], merges
    )


def as_llama_cpp_cuts(tokenizer: Tokenizer) -> Any:
    """A tokenizer of the library `tokenizers` that has the ids of llama.cpp."""
    library = tokenizers_library()
    content = json.loads(tokenizer.json_text)
    content["normalizer"] = None
    twin = library.Tokenizer.from_str(json.dumps(content))
    pre = library.pre_tokenizers
    twin.pre_tokenizer = pre.Sequence(
        [
            *(pre.Split(library.Regex(pattern), "isolated") for pattern in _CUTS),
            pre.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return twin


@dataclass(frozen=True)
class OtherIds:
    """How many lines of text come out with other ids."""

    lines: int
    other: int

    def line(self) -> str:
        """In words."""
        if not self.lines:
            return "not tried   ids of the corpus' lines: its token cache is not beside the model"
        what = "all ids equal" if not self.other else f"other ids in {self._share()}"
        return f"checked     the tokenizer as llama.cpp cuts text: {self.lines:,} lines, {what}"

    def require_few(self) -> None:
        """`UserError` if there are too many."""
        if self.other > MOST_OTHER * self.lines:
            raise UserError(
                f"llama.cpp would read {self._share()} of {self.lines:,} lines of the corpus in "
                "other tokens than the model learnt, for it cuts numbers, and cuts no long turns: "
                "--allow-other-ids writes it all the same, and --to hf is exact"
            )

    def _share(self) -> str:
        return f"{self.other:,} ({self.other / self.lines:.1%})"


def other_ids(tokenizer: Tokenizer, lines: Iterator[str]) -> OtherIds:
    """Compare the ids of lines in vidya and in llama.cpp."""
    twin, count, other = as_llama_cpp_cuts(tokenizer), 0, 0
    for chunk in in_chunks(lines):
        ours = tokenizer.encode_documents(chunk)
        theirs = twin.encode_batch_fast(chunk, add_special_tokens=False)
        for mine, its in zip(ours, theirs, strict=True):
            count += 1
            other += mine[1:-1].tolist() != its.ids
    return OtherIds(count, other)


def corpus_lines(model: Pretrained, most: int = LINES) -> Iterator[str]:
    """Lines of what the model's run was trained on and held out, evenly taken.

    As the tokenizer normalised them. None if the token caches are not beside the model.
    """
    files = RunFiles(model.checkpoint_path.parent)
    caches: list[TokenCache] = []
    for path in (files.held_out_tokens, files.train_tokens):
        try:
            caches.append(TokenCache.open_of(path, model.tokenizer, ""))
        except UserError:
            continue
    ends = np.cumsum([0, *(cache.documents for cache in caches)])
    numbers = np.unique(np.linspace(0, ends[-1] - 1, min(most, int(ends[-1])), dtype=np.int64))
    for number in numbers.tolist():
        which = int(np.searchsorted(ends, number, side="right")) - 1
        ids: Sequence[int] = caches[which].document(number - int(ends[which])).tolist()
        yield model.tokenizer.decode(ids[1:-1])
