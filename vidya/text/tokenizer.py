r"""Byte-level BPE: text to token ids and back; `python -m vidya.tokenizer train|stats|encode`.

- A vocabulary is the three turn markers (ids 0, 1, 2), the 256 bytes, and the merges
  in the order in which they were learned, so every string round-trips exactly.
- Merges may cross words ("how are you" can be one token): fewer tokens for the same
  text is speed. They never cross a turn marker.
- Text between two markers is cut into pieces of at most 400 characters, at a space
  where there is one. That bounds the work on a line of a megabyte; in a conversation
  it changes next to nothing.
- Everything that determines the ids is in `tokenizer.json`, which Hugging Face's
  `tokenizers` loads as it is.
"""

import functools
import hashlib
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vidya.errors import UserError
from vidya.system.atomic_file import write_bytes
from vidya.system.remembered_json import recall_json, remember_json
from vidya.text.conversation_format import MARKERS
from vidya.text.corpus_file import require_documents

if TYPE_CHECKING:
    import tokenizers

MAX_VOCAB = 65_535
"""Tokens are stored as uint16."""
TRAINING_BYTES = 12_000_000
"""Merges are learned from at most this much text, evenly taken from the corpus.

4,000 merges learned from 5, 10 and 20 MB of DailyDialog and chitchat make 4.377, 4.389
and 4.387 bytes a token on held-out text, in 13, 26 and 58 s and 0.45, 0.8 and 1.5 GB.
"""
_PIECE = r"[^\n]{1,400}(?=\s|$)|[^\n]{1,400}|\n{1,400}"
_BYTES = 256
_MARKER = re.compile("|".join(re.escape(marker) for marker in MARKERS))


# Raised when the way of training changes, so that cached tokenizers are trained anew.
_RECIPE = 1
T = TypeVar("T")


class Tokenizer:
    """Text to token ids and back. Safe to share between threads."""

    def __init__(self, json_text: str) -> None:
        """Build from the text of a `tokenizer.json`; ValueError says why it cannot be used."""
        _check_json(json_text)
        self._json = json_text
        self._tokenizer = _from_json(json_text)
        # In this one a marker in the text is ordinary text.
        self._plain = _from_json(json_text)
        self._plain.encode_special_tokens = True
        self._bytes_of = _bytes_of_tokens(self._tokenizer)
        self.vocab_size: int = len(self._bytes_of)
        """Number of ids, markers included."""
        self.bos_id, self.user_id, self.assistant_id = map(self._marker_id, MARKERS)
        self.special_ids: frozenset[int] = frozenset(map(self._marker_id, MARKERS))
        """The ids of the three markers."""
        self.token_bytes: NDArray[np.int32] = np.array(
            [0 if i in self.special_ids else len(b) for i, b in enumerate(self._bytes_of)],
            dtype=np.int32,
        )
        """[vocab_size] bytes of text that each id stands for; 0 for the markers."""
        self.hash: str = _hash_of(json_text)
        """Hex digest of everything that determines the ids."""

    # ------------------------------------------------------------ making, storing

    @staticmethod
    def train(
        documents: Iterable[str],
        merges: int,
        *,
        progress: bool = False,
        say: Callable[[str], None] | None = None,
    ) -> "Tokenizer":
        """Learn `merges` merges from documents with turn markers.

        A corpus larger than `TRAINING_BYTES` is thinned evenly. Merges seen only once
        are not learned, so a small corpus gives a smaller vocabulary.

        Args:
            documents: the text to learn from.
            merges: how many merges to learn; the vocabulary is 256 bytes + merges + 3.
            progress: show on stderr that something is going on.
            say: takes a line that tells how much of the text was used, if not all.

        Raises:
            UserError: `merges` is negative or too large, or there is no document.
        """
        check_merges(merges)
        sample = _thin(require_documents(documents, "the corpus"), TRAINING_BYTES)
        if say is not None and sample.size < sample.whole:
            say(sample.line())
        note = f"Training the tokenizer: {merges:,} merges"
        return Tokenizer(_with_progress(note, progress, lambda: _train(sample.documents, merges)))

    @staticmethod
    def load(path: str | os.PathLike[str]) -> "Tokenizer":
        """Read a `tokenizer.json`; `UserError` if it is missing, damaged, or of another kind."""
        name = os.fspath(path)
        try:
            return Tokenizer(Path(path).read_bytes().decode("utf-8"))
        except OSError as error:
            raise UserError(f"cannot read the tokenizer {name}: {error.strerror}") from error
        except ValueError as error:
            raise UserError(
                f"{name} is no tokenizer of vidya or is damaged ({error}): "
                "train one with python -m vidya.tokenizer train"
            ) from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a `tokenizer.json`, whole or not at all."""
        raw = self._json.encode("utf-8")
        write_bytes(path, raw)

    # ------------------------------------------------------------ encoding

    def encode_document(self, text: str) -> list[int]:
        """The ids of a document: bos, the text with its markers as markers, bos."""
        return [self.bos_id, *self.encode_marked(text), self.bos_id]

    def encode_marked(self, text: str) -> list[int]:
        """The ids of text with its markers as markers, and nothing around them."""
        return _encode(self._tokenizer, text)

    def encode_documents(self, texts: Sequence[str]) -> list[NDArray[np.uint16]]:
        """`encode_document` of many documents at once, on all cores."""
        try:
            encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        except (UnicodeEncodeError, TypeError) as error:
            raise _not_text() from error
        return [self._framed(encoding.ids) for encoding in encodings]

    def encode_text(self, text: str) -> list[int]:
        """The ids of plain text: a marker in it is ordinary text, never a marker."""
        return _encode(self._plain, text)

    def _framed(self, ids: list[int]) -> NDArray[np.uint16]:
        framed = np.empty(len(ids) + 2, dtype=np.uint16)
        framed[0] = framed[-1] = self.bos_id
        framed[1:-1] = ids
        return framed

    # ------------------------------------------------------------ decoding, measuring

    def decode_bytes(self, ids: Iterable[int], *, skip_special: bool = False) -> bytes:
        """The bytes that ids stand for; IndexError for an id outside the vocabulary."""
        skipped = self.special_ids if skip_special else frozenset[int]()
        table = self._bytes_of
        return b"".join(table[_index(i)] for i in ids if i not in skipped)

    def decode(self, ids: Iterable[int], *, skip_special: bool = False) -> str:
        """The text that ids stand for; bytes that are no UTF-8 become U+FFFD."""
        return self.decode_bytes(ids, skip_special=skip_special).decode("utf-8", "replace")

    def byte_length(self, ids: Any) -> int:
        """Bytes of text that ids (a list or an array of integers) stand for.

        Markers count 0, and so do negative ids, which are targets that do not count.
        """
        numbers = np.asarray(ids, dtype=np.int64)
        return int(self.token_bytes[numbers[numbers >= 0]].sum())

    @property
    def merges(self) -> int:
        """Tokens that are neither bytes nor markers."""
        return self.vocab_size - _BYTES - len(MARKERS)

    def _marker_id(self, marker: str) -> int:
        number = self._tokenizer.token_to_id(marker)
        assert number is not None
        return number


# ---------------------------------------------------------------- the one in a run folder


def cached_tokenizer(
    path: Path, origin: Path, corpus_hash: str, merges: int, train: Callable[[], Tokenizer]
) -> Tokenizer:
    """The tokenizer at `path` if it was made for this corpus and these settings, else a new one.

    A new one replaces the old one's file.

    Args:
        path: of the `tokenizer.json`; its folder must exist.
        origin: the file that says what it was made for.
        corpus_hash: of the documents that it is trained on.
        merges: that `train` asks for.
        train: makes a new one.
    """
    wanted = {"recipe": _RECIPE, "corpus_hash": corpus_hash, "merges": merges}
    try:
        tokenizer = Tokenizer.load(path)
        if recall_json(origin) == {**wanted, "tokenizer_hash": tokenizer.hash}:
            return tokenizer
    except UserError:
        pass  # none yet, or damaged
    tokenizer = train()
    # The tokenizer first: a crash before the second file leaves hashes that disagree.
    tokenizer.save(path)
    remember_json(origin, {**wanted, "tokenizer_hash": tokenizer.hash})
    return tokenizer


def check_merges(merges: int) -> None:
    """`UserError` unless a vocabulary with this many merges can be stored."""
    most = MAX_VOCAB - _BYTES - len(MARKERS)
    if not 0 <= merges <= most:
        raise UserError(f"merges must be between 0 and {most}, not {merges}")


# ---------------------------------------------------------------- training


def _train(documents: list[str], merges: int) -> str:
    """The `tokenizer.json` learned from documents."""
    tokenizers = _library()
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Split(tokenizers.Regex(_PIECE), "isolated"),
            tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=len(MARKERS) + _BYTES + merges,
        min_frequency=2,
        initial_alphabet=list(_byte_alphabet()),
        special_tokens=[
            tokenizers.AddedToken(marker, special=True, normalized=False) for marker in MARKERS
        ],
        show_progress=False,
    )
    # The trainer takes markers for ordinary text, so it is given what stands between them.
    segments = (piece for document in documents for piece in _MARKER.split(document) if piece)
    tokenizer.train_from_iterator(segments, trainer)
    trained: str = tokenizer.to_str(pretty=True)
    return trained


@dataclass(frozen=True)
class _Sample:
    """Documents evenly taken from a corpus."""

    documents: list[str]
    size: int
    """Bytes of them."""
    stride: int
    """Every so-manieth document was taken."""
    whole: int
    """Bytes of the corpus."""

    def line(self) -> str:
        """How much was taken, and why."""
        return (
            f"merges are learned from {self.size / 1e6:.1f} of {self.whole / 1e6:,.1f} MB of text "
            f"(1 document in {self.stride}, evenly): more takes longer and learns no better ones"
        )


def _thin(documents: Iterable[str], limit: int) -> _Sample:
    """Every document, or every 2nd, 4th, … so that they come to at most `limit` bytes.

    A single document may exceed the limit; it is cut.
    """
    kept: list[str] = []
    stride, size, whole = 1, 0, 0
    for number, document in enumerate(documents):
        whole += _size(document)
        if number % stride:
            continue
        kept.append(document[:limit])
        size += _size(kept[-1])
        while size > limit and len(kept) > 1:
            kept, stride = kept[::2], stride * 2
            size = sum(map(_size, kept))
    return _Sample(kept, size, stride, whole)


def _size(text: str) -> int:
    return len(text.encode("utf-8"))


def _with_progress(note: str, progress: bool, work: Callable[[], T]) -> T:
    """Do `work`, showing `note` and the time it takes on stderr if asked to."""
    if not progress:
        return _interruptible(work)
    start = time.monotonic()
    if sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True).status(f"{note} …"):
            result = _interruptible(work)
    else:
        print(f"{note} …", file=sys.stderr, flush=True)
        result = _interruptible(work)
    print(f"{note}: {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)
    return result


def _interruptible(work: Callable[[], T]) -> T:
    """Do `work` in a thread, so that Ctrl-C does not wait for one long call into Rust."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.1)
    if errors:
        raise errors[0]
    return results[0]


# ---------------------------------------------------------------- the library


def _library() -> Any:
    # Set, it keeps the library from warning whenever a process is started after use.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    import tokenizers
    import tokenizers.decoders
    import tokenizers.models
    import tokenizers.pre_tokenizers
    import tokenizers.trainers

    return tokenizers


def _from_json(json_text: str) -> "tokenizers.Tokenizer":
    try:
        tokenizer: tokenizers.Tokenizer = _library().Tokenizer.from_str(json_text)
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(str(error)) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _encode(tokenizer: "tokenizers.Tokenizer", text: str) -> list[int]:
    try:
        return tokenizer.encode(text, add_special_tokens=False).ids
    except (UnicodeEncodeError, TypeError) as error:
        raise _not_text() from error


def _not_text() -> UserError:
    return UserError("cannot encode half a surrogate pair: it is not text; take it out")


# ---------------------------------------------------------------- what is in a tokenizer.json


def _check_json(json_text: str) -> None:
    """ValueError unless a `tokenizer.json` is one that vidya can rely on."""
    content = json.loads(json_text)
    try:
        vocab = content["model"]["vocab"]
        added = {token["content"]: token for token in content["added_tokens"]}
        if content["model"]["type"] != "BPE" or content["normalizer"] is not None:
            raise ValueError("not a BPE of unchanged text")
        if not _is_byte_level(content["pre_tokenizer"]):
            raise ValueError("not byte-level")
        if not all(added[marker]["special"] for marker in MARKERS):
            raise ValueError("a turn marker is not special")
        ids = {**vocab, **{name: token["id"] for name, token in added.items()}}.values()
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not laid out as one: {error}") from error
    if not all(byte in vocab for byte in _byte_alphabet()):
        raise ValueError("not all bytes are in it")
    if sorted(ids) != list(range(len(ids))) or len(ids) > MAX_VOCAB:
        raise ValueError(f"its ids are not 0, 1, 2, … up to {MAX_VOCAB - 1} at most")


def _is_byte_level(pre_tokenizer: dict[str, Any]) -> bool:
    """Whether text becomes bytes, all of it and nothing else."""
    steps = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    lossless = all(
        step["type"] == "ByteLevel" or (step["type"] == "Split" and step["behavior"] != "Removed")
        for step in steps
    )
    byte_level = [step for step in steps if step["type"] == "ByteLevel"]
    return lossless and len(byte_level) == 1 and not byte_level[0]["add_prefix_space"]


def _hash_of(json_text: str) -> str:
    """Hex digest of what determines the ids, however the JSON is laid out."""
    content = json.loads(json_text)
    model = content["model"]
    merges = [m.split(" ") if isinstance(m, str) else m for m in model["merges"]]
    added = [[token["id"], token["content"]] for token in content["added_tokens"]]
    parts = [model["vocab"], merges, added, content["pre_tokenizer"]]
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=16).hexdigest()


@functools.cache
def _byte_alphabet() -> dict[str, int]:
    """The printable character by which byte-level BPE writes each byte, as GPT-2 chose them."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(_BYTES) if byte not in printable]
    pairs = [(chr(byte), byte) for byte in printable]
    pairs += [(chr(_BYTES + number), byte) for number, byte in enumerate(others)]
    return dict(sorted(pairs))


def _bytes_of_tokens(tokenizer: "tokenizers.Tokenizer") -> list[bytes]:
    """The bytes of every id; an added token stands for its own text."""
    alphabet = _byte_alphabet()
    added = tokenizer.get_added_tokens_decoder()
    table = [b""] * tokenizer.get_vocab_size()
    for token, number in tokenizer.get_vocab().items():
        if number in added:
            table[number] = token.encode("utf-8")
        else:
            table[number] = bytes(alphabet[character] for character in token)
    return table


def _index(number: int) -> int:
    if number < 0:
        raise IndexError(f"no token has the id {number}")
    return int(number)
