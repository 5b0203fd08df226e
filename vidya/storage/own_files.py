"""Which files are provably vidya's: told by how they begin, never by their names alone.

People keep files of their own where a run goes, and other programs write a `metrics.jsonl` or
a `tokenizer.json`, too. What is not recognised here is theirs: it is neither replaced nor
deleted. A file that holds nothing is nobody's, and there is nothing in it to lose.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

Recognise = Callable[[bytes], bool]
"""Whether a file is of a kind that vidya writes, told by its first bytes."""
HEAD = 1 << 16
"""Bytes that are looked at."""


def begins(pattern: bytes) -> Recognise:
    """Files whose first bytes match a regular expression."""
    compiled = re.compile(pattern)
    return lambda head: compiled.match(head) is not None


def has_line(pattern: bytes) -> Recognise:
    """Files with a line, among the first, whose beginning matches: a damaged one may precede."""
    compiled = re.compile(pattern, re.MULTILINE)
    return lambda head: compiled.search(head) is not None


def holds(*words: bytes) -> Recognise:
    """Files with all of these somewhere in their first bytes."""
    return lambda head: all(word in head for word in words)


def is_checkpoint_head(head: bytes) -> bool:
    """Whether a file begins as a checkpoint of vidya; a few damaged bytes do not hide that."""
    return b'"format":"vidya-' in head or head[8:].startswith(b'{"__metadata__":{"digest":"')


is_tokenizer_head = holds(b'"added_tokens"', b'"<|bos|>"', b'"<|user|>"', b'"<|assistant|>"')
"""Whether a file begins as a tokenizer.json of vidya."""


def is_own(path: Path, recognise: Recognise) -> bool:
    """Whether a file is recognised, or holds nothing; another's may also be no file at all."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except FileNotFoundError:  # a link to a file that is not there
        return not path.is_symlink()
    except OSError:
        return False
    # a power cut leaves zeros where nothing had been written yet
    return not head.strip(b"\0") or recognise(head)


def is_checkpoint(path: Path) -> bool:
    """Whether there is a checkpoint of vidya at `path`, whole or damaged."""
    try:
        return path.stat().st_size > 0 and is_own(path, is_checkpoint_head)
    except OSError:
        return False


def in_words(paths: Sequence[Path]) -> str:
    """The first of some files by name, and how many more there are."""
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(map(str, paths[:3])) + more
