"""Byte-level BPE: text to token ids and back.

- A vocabulary is the three turn markers (ids 0, 1, 2), the 256 bytes, and the merges
  in the order in which they were learned, so every normalised string round-trips exactly.
- Text is first normalised (vidya/text/normalisation.py) where the tokenizer says so.
- Merges may cross words ("how are you" can be one token): fewer tokens for the same
  text is speed. They never cross a turn marker, nor where text is cut (vidya/text/cutting.py).
- How one is made stands in vidya/text/tokenizer_training.py.
- Everything that determines the ids is in `tokenizer.json`, which Hugging Face's
  `tokenizers` loads as it is.
"""

import functools
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vidya.errors import UserError
from vidya.system.atomic_file import StrPath, write_bytes
from vidya.text.conversation_format import MARKERS
from vidya.text.cutting import splits_digits
from vidya.text.normalisation import NORMALISER, is_normalised, normalised

if TYPE_CHECKING:
    import tokenizers

MAX_VOCAB = 65_535
"""Tokens are stored as uint16."""
BYTES = 256
"""Values of a byte: each is a token."""


class Tokenizer:
    """Text to token ids and back. Safe to share between threads."""

    def __init__(self, json_text: str) -> None:
        """Build from the text of a `tokenizer.json`; ValueError says why it cannot be used."""
        _check_json(json_text)
        self._json = json_text
        content = json.loads(json_text)
        self.normalises: bool = content["normalizer"] is not None
        """Whether text is normalised before it becomes ids; it was not in older tokenizers.

        Their models are asked and taught in text as it stands.
        """
        self.splits_digits: bool = splits_digits(content["pre_tokenizer"])
        """Whether digits are cut off as llama.cpp does; in older tokenizers they were not."""
        # For text that has nothing to normalise, which is nearly all.
        self._tokenizer = _from_json(json_text, normalises=False)
        # In this one a marker in the text is ordinary text.
        self._plain = _from_json(json_text, normalises=False, marked=False)
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

    @property
    def json_text(self) -> str:
        """The text of its `tokenizer.json`."""
        return self._json

    # ------------------------------------------------------------ storing

    @staticmethod
    def load(path: StrPath) -> "Tokenizer":
        """Read a `tokenizer.json`; `UserError` if it is missing, damaged, or of another kind."""
        name = os.fspath(path)
        try:
            return Tokenizer(Path(path).read_bytes().decode("utf-8"))
        except OSError as error:
            raise UserError(f"cannot read the tokenizer {name}: {error.strerror}") from error
        except ValueError as error:
            read = isinstance(error, (json.JSONDecodeError, UnicodeDecodeError))
            reason = "it is no JSON" if read else str(error)
            raise UserError(
                f"{name} is no tokenizer of vidya or is damaged ({reason}): name a "
                "tokenizer.json, or train one with python -m vidya.tokenizer train"
            ) from error

    def save(self, path: StrPath) -> None:
        """Write a `tokenizer.json`, whole or not at all."""
        write_bytes(path, self._json.encode("utf-8"))

    # ------------------------------------------------------------ encoding

    def encode_document(self, text: str) -> list[int]:
        """The ids of a document: bos, the text with its markers as markers, bos."""
        return [self.bos_id, *self.encode_marked(text), self.bos_id]

    def encode_marked(self, text: str) -> list[int]:
        """The ids of text with its markers as markers, and nothing around them."""
        return _encode(self._tokenizer if self._is_ready(text) else self._normalising, text)

    def encode_documents(self, texts: Sequence[str]) -> list[NDArray[np.uint16]]:
        """`encode_document` of many documents at once, on all cores."""
        found: list[NDArray[np.uint16] | None] = [None] * len(texts)
        ready = [self._is_ready(text) for text in texts]
        for some in set(ready):
            tokenizer = self._tokenizer if some else self._normalising
            numbers = [number for number, one in enumerate(ready) if one == some]
            chosen = [texts[number] for number in numbers]
            try:
                encodings = tokenizer.encode_batch_fast(chosen, add_special_tokens=False)
            except (UnicodeEncodeError, TypeError) as error:
                raise _not_text() from error
            for number, encoding in zip(numbers, encodings, strict=True):
                found[number] = self._framed(encoding.ids)
        return [ids for ids in found if ids is not None]

    def encode_text(self, text: str) -> list[int]:
        """The ids of plain text: a marker in it is ordinary text, never a marker."""
        return _encode(self._plain if self._is_ready(text) else self._normalising_plain, text)

    def _is_ready(self, text: str) -> bool:
        """Whether text becomes the same ids with the normaliser and without it."""
        return not self.normalises or is_normalised(text)

    @functools.cached_property
    def _normalising(self) -> "tokenizers.Tokenizer":
        return _from_json(self._json)

    @functools.cached_property
    def _normalising_plain(self) -> "tokenizers.Tokenizer":
        return _from_json(self._json, marked=False)

    def pieces(self, text: str) -> list[str]:
        """The parts of plain text that are encoded each by itself.

        A part is written in the alphabet of the vocabulary, a character a byte (`byte_alphabet`).
        """
        cutter = self._plain.pre_tokenizer
        assert cutter is not None
        plain = text if self._is_ready(text) else normalised(text)
        try:
            return [piece for piece, _ in cutter.pre_tokenize_str(plain)]
        except (UnicodeEncodeError, TypeError) as error:
            raise _not_text() from error

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
        numbers = [int(i) for i in ids if i not in skipped]
        if numbers and min(numbers) < 0:
            raise IndexError(f"no token has the id {min(numbers)}")
        return b"".join([table[number] for number in numbers])

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
        return self.vocab_size - BYTES - len(MARKERS)

    def _marker_id(self, marker: str) -> int:
        number = self._tokenizer.token_to_id(marker)
        assert number is not None
        return number


# ---------------------------------------------------------------- the library


def tokenizers_library() -> Any:
    """The library `tokenizers`, which is imported when it is first needed."""
    # Set, it keeps the library from warning whenever a process is started after use.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    import tokenizers
    import tokenizers.decoders
    import tokenizers.models
    import tokenizers.normalizers
    import tokenizers.pre_tokenizers
    import tokenizers.trainers

    return tokenizers


def _from_json(
    json_text: str, *, normalises: bool = True, marked: bool = True
) -> "tokenizers.Tokenizer":
    """The library's tokenizer, with its normaliser if it has one, and with markers as such."""
    try:
        tokenizer: tokenizers.Tokenizer = tokenizers_library().Tokenizer.from_str(json_text)
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(str(error)) from error
    if not normalises:
        tokenizer.normalizer = None
    tokenizer.encode_special_tokens = not marked
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
        if content["model"]["type"] != "BPE":
            raise ValueError("not a BPE")
        if content["normalizer"] not in (None, NORMALISER):
            raise ValueError("it normalises text in a way of its own")
        if not _is_byte_level(content["pre_tokenizer"]):
            raise ValueError("not byte-level")
        if missing := [marker for marker in MARKERS if marker not in added]:
            raise ValueError(f"it lacks {', '.join(missing)}, which begin the turns of a chat")
        if not all(added[marker]["special"] for marker in MARKERS):
            raise ValueError("a turn marker is not special")
        ids = {**vocab, **{name: token["id"] for name, token in added.items()}}.values()
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not laid out as one: {error}") from error
    if not all(byte in vocab for byte in byte_alphabet()):
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
    if content["normalizer"] is not None:  # older ones have none, and keep their hash
        parts.append(content["normalizer"])
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=16).hexdigest()


@functools.cache
def byte_alphabet() -> dict[str, int]:
    """The printable character by which byte-level BPE writes each byte, as GPT-2 chose them."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(BYTES) if byte not in printable]
    pairs = [(chr(byte), byte) for byte in printable]
    pairs += [(chr(BYTES + number), byte) for number, byte in enumerate(others)]
    return dict(sorted(pairs))


def _bytes_of_tokens(tokenizer: "tokenizers.Tokenizer") -> list[bytes]:
    """The bytes of every id; an added token stands for its own text."""
    alphabet = byte_alphabet()
    added = tokenizer.get_added_tokens_decoder()
    table = [b""] * tokenizer.get_vocab_size()
    for token, number in tokenizer.get_vocab().items():
        if number in added:
            table[number] = token.encode("utf-8")
        else:
            table[number] = bytes(alphabet[character] for character in token)
    return table
