"""Cutting: where text is cut before merges are made, which no token can cross.

- New tokenizers cut digits off, in groups of three from the right ("1234" is "1" and "234"), and
  nothing else. Programs that have no ways of cutting but their own have this one: llama.cpp calls
  it `superbpe`. Its cuts are fewer where digits stand beside numbers of other scripts, but no token
  is learnt across any of ours, so that the ids are the same.
- Tokenizers of before, and those of `--no-split-digits`, cut no digits, but any text into pieces of
  400 characters at most.
- While merges are learnt there are such pieces in both: they bound the work on a line of a
  megabyte, which is done again for each merge. Encoding needs no bound: it takes n log n.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tokenizers.pre_tokenizers

_PIECES = r"[^\n]{1,400}(?=\s|$)|[^\n]{1,400}|\n{1,400}"
"""At most 400 characters, up to a space where there is one."""
_NUMBERS = r"(?<![0-9])[0-9]{1,2}(?=(?:[0-9]{3})*(?![0-9]))|[0-9]{3}|(?:(?![0-9])\p{N})+"
"""One or two digits before threes; three digits; numbers that are not ASCII's.

The end of a run of digits is looked for once, from its beginning: a line may have a million.
"""


def cuts(*, split_digits: bool) -> tokenizers.pre_tokenizers.PreTokenizer:
    """How a tokenizer cuts text, as its `tokenizer.json` has it: at digits, or into pieces."""
    return _isolated(_NUMBERS if split_digits else _PIECES)


def cuts_to_learn(*, split_digits: bool) -> tokenizers.pre_tokenizers.PreTokenizer:
    """How text is cut that merges are learnt from."""
    return _isolated(_PIECES, _NUMBERS) if split_digits else cuts(split_digits=False)


def splits_digits(pre_tokenizer: dict[str, Any]) -> bool:
    """Whether the `pre_tokenizer` of a `tokenizer.json` is that of new tokenizers."""
    steps = pre_tokenizer.get("pretokenizers", [])
    return [step.get("pattern") for step in steps][:-1] == [{"Regex": _NUMBERS}]


def _isolated(*patterns: str) -> tokenizers.pre_tokenizers.PreTokenizer:
    """What a pattern finds is a piece by itself, and so is what stands between; then bytes."""
    from tokenizers import Regex, pre_tokenizers

    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([*splits, byte_level])
