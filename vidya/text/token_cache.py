"""The token cache: a corpus as token ids in one memory-mapped file.

Layout, little-endian:

    256 bytes   header: magic "VIDYATOK", format version, number of documents and of
                tokens, hash of the tokenizer and of the corpus, checksum of what
                follows the header, digest of the header itself
    tokens      uint16, all documents end to end, each from bos to bos
    padding     zero bytes up to a multiple of 8
    offsets     int64 [documents + 1], where each document starts in tokens, and the end

A cache is used only if everything in it is as it was written and both hashes are
the wanted ones. Otherwise it is built anew: a stale cache is never used.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
import zlib
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidya.errors import UserError
from vidya.system.atomic_file import StrPath, atomic_write
from vidya.terminal.progress_display import counted_progress
from vidya.text.corpus_file import in_chunks, require_documents
from vidya.text.token_documents import TokenDocuments
from vidya.text.tokenizer import Tokenizer

FORMAT_VERSION = 1
_MAGIC = b"VIDYATOK"
# magic, version, checksum, documents, tokens, tokenizer hash, corpus hash
_FIELDS = struct.Struct("<8sIIqq64s64s")
_HEADER_BYTES = 256
_AT_ONCE = 2


@dataclass(frozen=True, kw_only=True)
class TokenCache(TokenDocuments):
    """A corpus as token ids, memory-mapped, read-only."""

    tokenizer_hash: str
    """Hash of the tokenizer that made the ids."""
    corpus_hash: str
    """Hash of the corpus that they were made of."""
    mapping: mmap.mmap
    """What `tokens` lies in."""

    def release(self) -> None:
        """Let the pages of the file that were read count as this process's memory no longer.

        They stay in the system's own cache for as long as it has room. Without this a
        training would come to hold the whole file.
        """
        if hasattr(mmap, "MADV_DONTNEED"):
            self.mapping.madvise(mmap.MADV_DONTNEED)

    @staticmethod
    def open(path: StrPath) -> TokenCache:
        """Map a cache, having checked every byte of it.

        Raises:
            UserError: there is none, it is damaged or cut short, or has another version.
        """
        name = os.fspath(path)
        try:
            with open(path, "rb") as file:
                header = _read_header(file)
                _check_content(file, header)
                mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise UserError(f"cannot use the token cache {name} ({error}): delete it") from error
        tokens = np.frombuffer(mapping, np.uint16, header.tokens, _HEADER_BYTES)
        offsets = np.frombuffer(mapping, np.int64, header.documents + 1, header.offsets_at).copy()
        cache = TokenCache(
            tokens, offsets, tokenizer_hash=header.tokenizer_hash,
            corpus_hash=header.corpus_hash, mapping=mapping,
        )  # fmt: skip
        cache.release()
        return cache

    @staticmethod
    def open_of(path: StrPath, tokenizer: Tokenizer, mend: str) -> TokenCache:
        """`open` a cache that must be one of `tokenizer`; `mend` says what to do otherwise.

        Raises:
            UserError: as `open`; it was made with another tokenizer.
        """
        cache = TokenCache.open(path)
        if cache.tokenizer_hash != tokenizer.hash:
            name = os.fspath(path)
            raise UserError(f"{name} was made with another tokenizer than the model's: {mend}")
        return cache


def build(
    path: StrPath,
    documents: Iterable[str],
    tokenizer: Tokenizer,
    corpus_hash: str,
    *,
    progress: bool = False,
    total_bytes: int | None = None,
) -> None:
    """Write the cache of `documents`, whole or not at all, encoding on all cores.

    Memory does not grow with the text: documents are taken in chunks of a few
    megabytes, and only 8 bytes a document are kept to the end.

    Args:
        path: where to write; the folder must exist.
        documents: the corpus, read once.
        tokenizer: that encodes it.
        corpus_hash: of `documents`.
        progress: show progress on stderr.
        total_bytes: of `documents`, for the progress; without it there is no end to show.

    Raises:
        UserError: there is no document, or the disk is full.
    """
    some = require_documents(documents, "the corpus")
    with counted_progress("Encoding", total_bytes, in_bytes=True, show=progress) as advance:
        atomic_write(path, lambda file: _write(file, some, tokenizer, corpus_hash, advance))


def open_or_build(
    path: StrPath,
    documents: Callable[[], Iterable[str]],
    tokenizer: Tokenizer,
    corpus_hash: str,
    *,
    progress: bool = False,
    total_bytes: int | None = None,
) -> TokenCache:
    """The cache at `path` if it is whole and of this tokenizer and corpus, else a new one.

    `documents` is called only to build; the other arguments are those of `build`.
    """
    try:
        cache = TokenCache.open(path)
        if (cache.tokenizer_hash, cache.corpus_hash) == (tokenizer.hash, corpus_hash):
            return cache
    except UserError:
        pass  # none yet, or damaged
    build(path, documents(), tokenizer, corpus_hash, progress=progress, total_bytes=total_bytes)
    return TokenCache.open(path)


# ---------------------------------------------------------------- the file


class _Header(NamedTuple):
    checksum: int
    documents: int
    tokens: int
    tokenizer_hash: str
    corpus_hash: str

    @property
    def offsets_at(self) -> int:
        """Where the offsets start in the file."""
        return _HEADER_BYTES + self.tokens * 2 + _padding(self.tokens)

    @property
    def file_bytes(self) -> int:
        """Size of the whole file."""
        return self.offsets_at + 8 * (self.documents + 1)

    def packed(self) -> bytes:
        """The header as it stands in the file."""
        *numbers, tokenizer, corpus = self
        fields = _FIELDS.pack(_MAGIC, FORMAT_VERSION, *numbers, tokenizer.encode(), corpus.encode())
        digest = hashlib.blake2b(fields, digest_size=32).digest()
        return (fields + digest).ljust(_HEADER_BYTES, b"\0")


def _padding(tokens: int) -> int:
    return -tokens * 2 % 8


def _write(
    file: BinaryIO,
    documents: Iterable[str],
    tokenizer: Tokenizer,
    corpus_hash: str,
    advance: Callable[[int, str], None],
) -> None:
    file.write(bytes(_HEADER_BYTES))
    offsets = array("q", [0])
    checksum = 0
    for chunk, encoded in _encoded(documents, tokenizer):
        raw = np.concatenate(encoded).astype("<u2", copy=False).tobytes()
        file.write(raw)
        checksum = zlib.crc32(raw, checksum)
        ends = offsets[-1] + np.cumsum([len(ids) for ids in encoded])
        offsets.extend(ends.tolist())
        advance(sum(len(text.encode()) for text in chunk), f"{offsets[-1]:,} tokens")
    tail = bytes(_padding(offsets[-1])) + np.array(offsets, "<i8").tobytes()
    file.write(tail)
    checksum = zlib.crc32(tail, checksum)
    header = _Header(checksum, len(offsets) - 1, offsets[-1], tokenizer.hash, corpus_hash)
    file.seek(0)
    file.write(header.packed())


def _encoded(
    documents: Iterable[str], tokenizer: Tokenizer
) -> Iterator[tuple[list[str], list[NDArray[np.uint16]]]]:
    """Chunks of documents and their ids, in order.

    Two chunks are encoded at a time: while one's ids become arrays, which one core does, the
    other keeps the rest of them busy.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        waiting: deque[tuple[list[str], Future[list[NDArray[np.uint16]]]]] = deque()
        for chunk in in_chunks(documents):
            waiting.append((chunk, pool.submit(tokenizer.encode_documents, chunk)))
            if len(waiting) > _AT_ONCE:
                first, ids = waiting.popleft()
                yield first, ids.result()
        for first, ids in waiting:
            yield first, ids.result()


def _read_header(file: BinaryIO) -> _Header:
    """The header of a cache; ValueError says what is wrong with it."""
    raw = file.read(_HEADER_BYTES)
    if len(raw) < _HEADER_BYTES or not raw.startswith(_MAGIC):
        raise ValueError("it is no token cache")
    fields = raw[: _FIELDS.size]
    _, version, *numbers, tokenizer, corpus = _FIELDS.unpack(fields)
    if version != FORMAT_VERSION:
        raise ValueError(f"its format is {version}, not {FORMAT_VERSION}")
    hashes = [text.rstrip(b"\0").decode("latin1") for text in (tokenizer, corpus)]
    header = _Header(*numbers, *hashes)
    if header.packed() != raw:
        raise ValueError("its header is damaged")
    return header


def _check_content(file: BinaryIO, header: _Header) -> None:
    """ValueError unless what follows the header is what was written there."""
    if os.fstat(file.fileno()).st_size != header.file_bytes:
        raise ValueError("it is cut short or too long")
    checksum = 0
    while chunk := file.read(1 << 24):
        checksum = zlib.crc32(chunk, checksum)
    if checksum != header.checksum:
        raise ValueError("its content is damaged")
