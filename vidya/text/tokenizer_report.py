"""What a tokenizer makes of a corpus, in numbers."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from vidya.errors import UserError
from vidya.text.conversation_format import MARKER
from vidya.text.corpus_file import in_chunks, read_documents, require_documents
from vidya.text.tokenizer import Tokenizer


def statistics(tokenizer: Tokenizer, documents: Iterable[str]) -> dict[str, float]:
    """How well `tokenizer` packs documents.

    Returns:
        `documents`; `tokens` with the bos around each; `bytes` with markers and
        `text_bytes` without; `chars_per_token` and `bytes_per_token` of text without
        markers over tokens that are no markers; `bytes_per_token_with_markers`, all
        bytes over all tokens.
    """
    count = tokens = text_tokens = size = text_size = characters = 0
    special = list(tokenizer.special_ids)
    for chunk in in_chunks(documents):
        ids = np.concatenate(tokenizer.encode_documents(chunk))
        count += len(chunk)
        tokens += len(ids)
        text_tokens += int((~np.isin(ids, special)).sum())
        for document in chunk:
            text = MARKER.sub("", document)
            size += len(document.encode("utf-8"))
            text_size += len(text.encode("utf-8"))
            characters += len(text)
    return {
        "documents": count,
        "tokens": tokens,
        "bytes": size,
        "text_bytes": text_size,
        "chars_per_token": characters / max(1, text_tokens),
        "bytes_per_token": text_size / max(1, text_tokens),
        "bytes_per_token_with_markers": size / max(1, tokens),
    }


def describe_statistics(tokenizer: Tokenizer, documents: Iterable[str]) -> str:
    """The lines that `train` and `stats` print."""
    found = statistics(tokenizer, documents)
    return (
        f"vocabulary {tokenizer.vocab_size:,} (256 bytes + "
        f"{tokenizer.merges:,} merges + 3 markers)\n"
        f"{found['documents']:,} documents, {found['bytes']:,} bytes, {found['tokens']:,} tokens\n"
        f"{found['chars_per_token']:.3f} characters and {found['bytes_per_token']:.3f} bytes "
        "a token (text without markers)\n"
        f"{found['bytes_per_token_with_markers']:.3f} bytes a token with markers and bos counted"
    )


def compare_tokenizers(
    new: Tokenizer, old: Tokenizer, documents: Callable[[], Iterable[str]]
) -> str:
    """A table of two tokenizers side by side, on the same documents.

    Args:
        new: the one in question.
        old: the one it replaces.
        documents: gives the text, anew at each call.
    """
    columns = [statistics(one, documents()) for one in (new, old)]
    rows = [
        ("vocabulary", f"{new.vocab_size:,}", f"{old.vocab_size:,}"),
        ("tokens", *(f"{one['tokens']:,}" for one in columns)),
        ("characters a token", *(f"{one['chars_per_token']:.3f}" for one in columns)),
        ("bytes a token", *(f"{one['bytes_per_token']:.3f}" for one in columns)),
    ]
    lines = [f"{'':20}{'this one':>16}{'previous':>16}"]
    lines += [f"{name:20}{this:>16}{previous:>16}" for name, this, previous in rows]
    change = columns[0]["tokens"] / columns[1]["tokens"] - 1
    return "\n".join([*lines, f"{change:+.1%} tokens for the same text"])


def read_all_documents(files: Sequence[Path]) -> Iterator[str]:
    """The documents of several corpus files, one file after the other."""
    if not files:
        raise UserError("name at least one text file")
    for file in files:
        yield from require_documents(read_documents(file), os.fspath(file))
