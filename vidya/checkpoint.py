"""Checkpoints: safetensors files that say when they are damaged.

A file is 8 bytes of header length (little-endian), a JSON header, and the raw
little-endian data of the tensors, as `safetensors` defines it, so that library
reads them too. The header's `__metadata__` holds

- `format`: version of what is described here;
- `vidya`: the caller's metadata (kind, config, step, …) as JSON;
- `digest`: blake2b of the whole file as it is with the digest's own 64 digits
  written as zeros. A changed bit anywhere, even in the padding, is found at load.

Files are written atomically: a crash at any instant leaves the previous one.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from vidya.atomic import atomic_write
from vidya.errors import UserError

FORMAT = "vidya-1"
"""Version of the file format; a file with another one is refused."""

Array = np.ndarray[Any, np.dtype[Any]]
StrPath = str | os.PathLike[str]

_DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_NO_DIGEST = "0" * 64
_CHUNK = 1 << 20  # bytes hashed at a time: small enough to be in cache when written
_PIECE = 2 << 20  # bytes verified at a time: between two a thread waits for Python's lock
_MAX_HEADER = 100_000_000  # the limit of the safetensors library
_STEP = re.compile(r"_(\d+)(k?)\.bin")


class CheckpointError(UserError):
    """A checkpoint that is missing, damaged, or of another model."""


# --- names -------------------------------------------------------------------------


def checkpoint_name(base: str, step: int | None = None) -> str:
    """File name of the checkpoint after `step` steps, or of the final weights for None.

    `BASE_10k.bin` for 10,000, `BASE_1500.bin` for 1,500, `BASE.bin` for None.
    """
    if step is None:
        return f"{base}.bin"
    if step and step % 1000 == 0:
        return f"{base}_{step // 1000}k.bin"
    return f"{base}_{step}.bin"


def finetuned_name(base: str) -> str:
    """File name of the weights after fine-tuning or teaching: `BASE_train.bin`."""
    return f"{base}_train.bin"


def step_of_name(name: str, base: str) -> int | None:
    """Step of the training checkpoint called `name`; None if it is not one of `base`."""
    match = _STEP.fullmatch(name.removeprefix(base))
    if match is None:
        return None
    step = int(match[1]) * (1000 if match[2] else 1)
    return step if checkpoint_name(base, step) == name else None


def is_weight(name: str) -> bool:
    """Whether tensor `name` is a weight of the model, not state of the optimizer."""
    return not name.startswith("adam_")


# --- saving ------------------------------------------------------------------------


def save(path: StrPath, tensors: Mapping[str, Array], meta: Mapping[str, object]) -> None:
    """Write a checkpoint atomically.

    The bytes of contiguous arrays go from their own memory to the file: nothing
    is copied, however large they are.

    Args:
        path: file to create or replace; its folder must exist.
        tensors: arrays by name, any shape, of a boolean, integer or float dtype.
        meta: JSON values that describe them.

    Raises:
        UserError: the disk is full or the folder cannot be written to.
    """
    # Widest first keeps every tensor aligned to its element size.
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    header = _header_bytes(ordered, meta)
    size = len(header) + sum(array.nbytes for _, array in ordered)

    def write(file: BinaryIO) -> None:
        digest = hashlib.blake2b(header, digest_size=32)
        file.write(header)
        for _, array in ordered:
            for chunk in _chunks(array):
                digest.update(chunk)
                file.write(chunk)
        file.seek(header.index(_NO_DIGEST.encode()))
        file.write(digest.hexdigest().encode())

    atomic_write(path, write, size)


def _header_bytes(ordered: list[tuple[str, Array]], meta: Mapping[str, object]) -> bytes:
    """Length and JSON header, padded to 8 bytes, with zeros for the digest."""
    # The digest comes first, so that the first run of 64 zeros is its own.
    header: dict[str, object] = {
        "__metadata__": {"digest": _NO_DIGEST, "format": FORMAT, "vidya": json.dumps(meta)}
    }
    offset = 0
    for name, array in ordered:
        dtype = array.dtype.newbyteorder("<")
        if dtype not in _NAMES:
            raise TypeError(f"a checkpoint cannot hold {name}, of dtype {array.dtype}")
        header[name] = {
            "dtype": _NAMES[dtype],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _chunks(array: Array) -> Iterator[memoryview]:
    """The array's little-endian bytes in C order, a piece at a time."""
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    flat = np.ascontiguousarray(little).reshape(-1).view(np.uint8)
    for start in range(0, flat.size, _CHUNK):
        yield flat[start : start + _CHUNK].data


# --- loading -----------------------------------------------------------------------


@dataclass(frozen=True)
class _Entry:
    """Where a tensor stands: byte offsets count from the end of the header."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class _Header:
    raw: bytes
    digest: str
    meta: dict[str, Any]
    entries: list[_Entry]


def load(
    path: StrPath, *, names: Collection[str] | Callable[[str], bool] | None = None,
    into: Callable[[dict[str, Any]], Mapping[str, Array]] | None = None,
) -> tuple[dict[str, Array], dict[str, Any]]:  # fmt: skip
    """Read a checkpoint and verify every byte of it, in a thread beside the reading.

    Args:
        path: the file.
        names: the tensors wanted, as a collection of names or as a predicate
            (`is_weight` leaves the optimizer's moments out); None is all of them.
            The others are verified and take no memory.
        into: given the metadata, makes arrays to read tensors into (C-contiguous). Those
            of the same name, dtype and shape are used; other tensors get new arrays.

    Returns:
        The arrays by name (writable, C order) and the metadata.

    Raises:
        CheckpointError: missing, unreadable, truncated, damaged, not a checkpoint,
            of another format version, or without a tensor that `names` lists.
    """
    try:
        with open(path, "rb") as file:
            header = _read_header(file, path)
            wanted = _select(header, names, path)
            verification = _Verification(file, header, path)
            try:
                tensors = _read_data(
                    file, header, wanted, {} if into is None else into(header.meta)
                )
            finally:
                # What else went wrong may be for this very reason.
                verification.require()
    except OSError as error:
        raise _unreadable(path, error) from error
    return tensors, header.meta


def read_meta(path: StrPath) -> dict[str, Any]:
    """The metadata of a checkpoint, from the header alone.

    The length of the file is checked, the digest is not: `load` does that.

    Raises:
        CheckpointError: as `load`, but for damage inside the data.
    """
    try:
        with open(path, "rb") as file:
            return _read_header(file, path).meta
    except OSError as error:
        raise _unreadable(path, error) from error


def read_digest(path: StrPath) -> str:
    """The digest that a checkpoint carries: it names this content and no other.

    Raises:
        CheckpointError: as `read_meta`.
    """
    try:
        with open(path, "rb") as file:
            return _read_header(file, path).digest
    except OSError as error:
        raise _unreadable(path, error) from error


def _read_header(file: io.BufferedReader, path: StrPath) -> _Header:
    """Read and check the header; leaves `file` at the first byte of the data."""
    size = os.fstat(file.fileno()).st_size
    length_bytes = file.read(8)
    length = int.from_bytes(length_bytes, "little")
    if len(length_bytes) < 8 or not 2 <= length <= _MAX_HEADER:
        raise CheckpointError(f"{path} is not a checkpoint: it has no safetensors header")
    if size < 8 + length:
        raise _truncated(path, 8 + length, size)
    text = file.read(length)
    try:
        header = json.loads(text)
        metadata = header.pop("__metadata__")
        version, digest, meta_text = (metadata[key] for key in ("format", "digest", "vidya"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path} is not a checkpoint of vidya, or is damaged") from error
    if version != FORMAT:
        raise CheckpointError(
            f"{path} has format {version!r}, this version of vidya reads {FORMAT!r}: "
            "update vidya, or use another checkpoint"
        )
    try:
        meta = json.loads(meta_text)
        entries = sorted(
            (_entry(name, value) for name, value in header.items()),
            key=lambda entry: (entry.begin, entry.end),
        )
        _check_layout(entries)
        valid = isinstance(meta, dict) and len(digest) == 64 and text.count(digest.encode()) == 1
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        valid = False
    if not valid:
        raise CheckpointError(f"{path} is damaged: its header makes no sense")
    expected = 8 + length + (entries[-1].end if entries else 0)
    if size < expected:
        raise _truncated(path, expected, size)
    if size > expected:
        raise CheckpointError(f"{path} is damaged: {size} bytes long, but should be {expected}")
    return _Header(length_bytes + text, digest, meta, entries)


def _entry(name: str, value: dict[str, Any]) -> _Entry:
    """One tensor's description; ValueError, KeyError or TypeError if it is nonsense."""
    dtype = _DTYPES[value["dtype"]]
    shape = tuple(value["shape"])
    begin, end = value["data_offsets"]
    if any(type(number) is not int or number < 0 for number in (*shape, begin, end)):
        raise ValueError("not a size")
    count = 1
    for extent in shape:
        count *= extent
    if end - begin != count * dtype.itemsize:
        raise ValueError("shape and offsets disagree")
    return _Entry(name, dtype, shape, begin, end)


def _check_layout(entries: list[_Entry]) -> None:
    """Tensors must lie end to end: what stands between them would be lost."""
    position = 0
    for entry in entries:
        if entry.begin != position:
            raise ValueError("hole or overlap")
        position = entry.end


def _select(
    header: _Header, names: Collection[str] | Callable[[str], bool] | None, path: StrPath
) -> set[str]:
    present = {entry.name for entry in header.entries}
    if names is None:
        return present
    if callable(names):
        return set(filter(names, present))
    if missing := sorted(set(names) - present):
        raise CheckpointError(f"{path} has no tensor {', '.join(missing)}")
    return set(names)


class _Verification:
    """Compares a file's content with its digest, in a thread.

    Hashing takes longer than reading: beside each other they take as long as hashing.
    """

    def __init__(self, file: io.BufferedReader, header: _Header, path: StrPath) -> None:
        self._descriptor, self._header, self._path = file.fileno(), header, path
        self._left = -1
        self._digest = hashlib.blake2b(
            header.raw.replace(header.digest.encode(), _NO_DIGEST.encode()), digest_size=32
        )
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        entries = self._header.entries
        position = len(self._header.raw)
        left = entries[-1].end if entries else 0
        buffer = memoryview(bytearray(min(_PIECE, left)))
        try:
            while left:
                count = os.preadv(self._descriptor, [buffer[: min(_PIECE, left)]], position)
                if not count:
                    break
                self._digest.update(buffer[:count])
                position, left = position + count, left - count
        except OSError as error:
            self._error = error
        self._left = left

    def require(self) -> None:
        """Wait for the thread, and raise what it found to be wrong."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        if self._left:
            raise _shrunk(self._path)
        if self._digest.hexdigest() != self._header.digest:
            raise CheckpointError(
                f"{self._path} is damaged: its content does not match its digest; "
                "use another checkpoint"
            )


def _read_data(
    file: io.BufferedReader, header: _Header, wanted: set[str], into: Mapping[str, Array]
) -> dict[str, Array]:
    """Read the wanted tensors, those that fit into the arrays that are there for them."""
    tensors: dict[str, Array] = {}
    for entry in header.entries:
        if entry.name not in wanted:
            continue
        array = into.get(entry.name)
        if array is None or (array.dtype, array.shape) != (entry.dtype, entry.shape):
            array = np.empty(entry.shape, entry.dtype)
        file.seek(len(header.raw) + entry.begin)
        if file.readinto(array.reshape(-1).view(np.uint8).data) != entry.end - entry.begin:
            raise _shrunk(file.name)
        tensors[entry.name] = array
    return tensors


def _shrunk(path: StrPath) -> CheckpointError:
    return CheckpointError(f"{path} became shorter while it was read")


def _truncated(path: StrPath, expected: int, size: int) -> CheckpointError:
    return CheckpointError(
        f"{path} is truncated: {size} of {expected} bytes are there; use another checkpoint"
    )


def _unreadable(path: StrPath, error: OSError) -> CheckpointError:
    return CheckpointError(f"cannot read checkpoint {path}: {error.strerror}")


# --- the right model ---------------------------------------------------------------


def require_same(
    meta: Mapping[str, Any],
    *,
    config: Mapping[str, object],
    tokenizer_hash: str,
    path: StrPath,
    ignore: Collection[str] = ("dropout",),
) -> None:
    """Refuse a checkpoint of another architecture or another tokenizer.

    Args:
        meta: the checkpoint's metadata, with `config` and `tokenizer_hash` in it.
        config: the architecture wanted, as `vidya.config.describe` gives it.
        tokenizer_hash: hash of the tokenizer in use.
        path: the checkpoint, for the message.
        ignore: fields of `config` that may differ; dropout changes no shape.

    Raises:
        CheckpointError: names each field that differs, with both values.
    """
    there = meta.get("config")
    if not isinstance(there, dict):
        raise CheckpointError(f"{path} does not say of which model it is: use another checkpoint")
    pairs = {
        name: (there.get(name, "absent"), config.get(name, "absent"))
        for name in [*config, *(name for name in there if name not in config)]
        if name not in ignore
    }
    pairs["tokenizer"] = (meta.get("tokenizer_hash", "absent"), tokenizer_hash)
    differences = [f"{name} is {a} there, {b} here" for name, (a, b) in pairs.items() if a != b]
    if differences:
        raise CheckpointError(
            f"{path}: {'; '.join(differences)}: use the settings and the tokenizer "
            "that it was trained with, or another --out"
        )


# --- a folder of training checkpoints ----------------------------------------------


def training_checkpoints(folder: StrPath, base: str) -> list[Path]:
    """The checkpoints of `base` written during training, newest step first."""
    steps = {
        path: step
        for path in Path(folder).iterdir()
        if (step := step_of_name(path.name, base)) is not None
    }
    return sorted(steps, key=lambda path: steps[path], reverse=True)


def load_newest(
    folder: StrPath, base: str, on_damaged: Callable[[Path, str], None]
) -> tuple[Path, dict[str, Array], dict[str, Any]]:
    """Load the newest whole training checkpoint: its path, tensors and metadata.

    Args:
        folder: where to look.
        base: stem of the names.
        on_damaged: called with the path and the reason for each newer one that is
            passed over.

    Raises:
        CheckpointError: there is none, or none is whole.
    """
    paths = training_checkpoints(folder, base)
    for path in paths:
        try:
            tensors, meta = load(path)
        except CheckpointError as error:
            on_damaged(path, str(error))
        else:
            return path, tensors, meta
    if paths:
        raise CheckpointError(
            f"none of the {len(paths)} training checkpoints of {base} in {folder} is whole: "
            "start without --resume"
        )
    raise CheckpointError(f"no training checkpoint of {base} in {folder}: start without --resume")


def prune(folder: StrPath, base: str, keep: int, milestone: int | None = None) -> list[Path]:
    """Delete old training checkpoints; returns the deleted paths.

    The newest `keep` that look whole (header and length) stay, and everything
    newer than the last of them. With fewer whole ones nothing is deleted. Those of
    the steps that `milestone` divides stay for good.
    """
    if keep < 1:
        raise UserError(f"at least 1 checkpoint must be kept, not {keep}")
    whole = 0
    deleted = []
    for path in training_checkpoints(folder, base):
        if whole == keep:
            if milestone and (step_of_name(path.name, base) or 0) % milestone == 0:
                continue
            path.unlink(missing_ok=True)
            deleted.append(path)
        elif _looks_whole(path):
            whole += 1
    return deleted


def _looks_whole(path: Path) -> bool:
    try:
        read_meta(path)
    except CheckpointError:
        return False
    return True
