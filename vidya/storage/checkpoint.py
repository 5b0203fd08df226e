"""Checkpoints: safetensors files that say when they are damaged.

A file is 8 bytes of header length (little-endian), a JSON header, and the raw
little-endian data of the tensors, as `safetensors` defines it, so that library
reads them too. The header's `__metadata__` holds

- `format`: version of what is described here;
- `vidya`: the caller's metadata (kind, config, step, …) as JSON;
- `digest`: SHA-256 of the whole file as it is with the digest's own 64 digits
  written as zeros. A changed bit anywhere, even in the padding, is found at load.

Files are written atomically: a crash at any instant leaves the previous one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from vidya.errors import PlaceError
from vidya.storage.checkpoint_folder import training_checkpoints
from vidya.storage.checkpoint_format import (
    DIGESTS,
    EXPORTED,
    FORMAT,
    ITEM_BYTES,
    NO_DIGEST,
    CheckpointError,
    CheckpointFile,
)
from vidya.system.atomic_file import StrPath, atomic_write

Array = np.ndarray[Any, np.dtype[Any]]
_DTYPES: dict[str, np.dtype[Any]] = {
    name: np.dtype("?" if name == "BOOL" else f"<{name[0].lower()}{size}")
    for name, size in ITEM_BYTES.items()
    if name != "BF16"
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_DTYPES["BF16"] = np.dtype("<u2")  # NumPy has no such type: vidya/kernels/bfloat16.py
_CHUNK = 1 << 20  # bytes hashed at a time: small enough to be in cache when written


def is_weight(name: str) -> bool:
    """Whether tensor `name` is a weight of the model, not state of the optimizer."""
    return not name.startswith("adam_")


# --- saving ------------------------------------------------------------------------


class SaveStoppedError(Exception):
    """A checkpoint was not written, for it was not wanted any more: what was there stays."""


def save(
    path: StrPath, tensors: Mapping[str, Array], meta: Mapping[str, object],
    stopped: Callable[[], bool] | None = None, *, version: str | None = None,
) -> None:  # fmt: skip
    """Write a checkpoint atomically.

    The bytes of contiguous arrays go from their own memory to the file: nothing
    is copied, however large they are.

    Args:
        path: file to create or replace; its folder must exist.
        tensors: arrays by name, any shape, of a boolean, integer or float dtype.
        meta: JSON values that describe them.
        stopped: looked at now and then: whether it is not wanted any more.
        version: of the format; None: the newest. In an exported file uint16 arrays are bfloat16.

    Raises:
        UserError: the disk is full or the folder cannot be written to.
        SaveStoppedError: `stopped` said so.
    """
    # Widest first keeps every tensor aligned to its element size.
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    header = _header_bytes(ordered, meta, version or FORMAT)
    size = len(header) + sum(array.nbytes for _, array in ordered)

    def write(file: BinaryIO) -> None:
        digest = DIGESTS[FORMAT](header)
        file.write(header)
        for _, array in ordered:
            little = array.astype(array.dtype.newbyteorder("<"), copy=False)
            flat = np.ascontiguousarray(little).reshape(-1).view(np.uint8)
            for start in range(0, flat.size, _CHUNK):
                if stopped is not None and stopped():
                    raise SaveStoppedError(f"{path} is not wanted any more")
                chunk = flat[start : start + _CHUNK].data
                digest.update(chunk)
                file.write(chunk)
        file.seek(header.index(NO_DIGEST.encode()))
        file.write(digest.hexdigest().encode())

    atomic_write(path, write, size)


def _header_bytes(
    ordered: list[tuple[str, Array]], meta: Mapping[str, object], version: str
) -> bytes:
    """Length and JSON header, padded to 8 bytes, with zeros for the digest."""
    # The digest comes first, so that the first run of 64 zeros is its own.
    header: dict[str, object] = {
        "__metadata__": {"digest": NO_DIGEST, "format": version, "vidya": json.dumps(meta)}
    }
    names = _NAMES | ({np.dtype("<u2"): "BF16"} if version == EXPORTED else {})
    offset = 0
    for name, array in ordered:
        dtype = array.dtype.newbyteorder("<")
        if dtype not in names:
            raise TypeError(f"a checkpoint cannot hold {name}, of dtype {array.dtype}")
        header[name] = {
            "dtype": names[dtype],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


# --- loading -----------------------------------------------------------------------


def load(
    path: StrPath, *, names: Collection[str] | Callable[[str], bool] | None = None
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read a checkpoint and verify every byte of it, in a thread beside the reading.

    Args:
        path: the file.
        names: as in `read_tensors`.

    Returns:
        The arrays by name (writable, C order) and the metadata.

    Raises:
        CheckpointError: missing, unreadable, truncated, damaged, not a checkpoint,
            of another format version, or without a tensor that `names` lists.
    """
    with CheckpointFile(path) as file:
        return read_tensors(file, names), file.meta


def read_tensors(
    file: CheckpointFile, names: Collection[str] | Callable[[str], bool] | None = None, *,
    into: Mapping[str, Array] | None = None,
) -> dict[str, Array]:  # fmt: skip
    """Tensors of an open checkpoint, by name (writable, C order).

    Args:
        file: which is still being verified.
        names: the tensors wanted, as a collection of names or as a predicate
            (`is_weight` leaves the optimizer's moments out); None is all of them.
            The others are verified and take no memory.
        into: arrays to read into (C-contiguous). Those of the same name, dtype and shape
            are used; other tensors get new arrays.

    Raises:
        CheckpointError: unreadable, or without a tensor that `names` lists.
    """
    wanted = _select(file, names)
    tensors: dict[str, Array] = {}
    for entry in file.entries:
        if entry.name not in wanted:
            continue
        array, dtype = (into or {}).get(entry.name), _DTYPES[entry.dtype]
        if array is None or (array.dtype, array.shape) != (dtype, entry.shape):
            array = np.empty(entry.shape, dtype)
        file.read(entry, array.reshape(-1).view(np.uint8).data)
        tensors[entry.name] = array
    return tensors


def _select(
    file: CheckpointFile, names: Collection[str] | Callable[[str], bool] | None
) -> set[str]:
    present = {entry.name for entry in file.entries}
    if names is None:
        return present
    if callable(names):
        return set(filter(names, present))
    if missing := sorted(set(names) - present):
        raise CheckpointError(f"{file.path} has no tensor {', '.join(missing)}")
    return set(names)


class OtherModelError(PlaceError, CheckpointError):
    """A checkpoint of another architecture or tokenizer stands where a run is to go on."""


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
        config: the architecture wanted, as `vidya.model.config.describe` gives it.
        tokenizer_hash: hash of the tokenizer in use.
        path: the checkpoint, for the message.
        ignore: fields of `config` that may differ; dropout changes no shape.

    Raises:
        OtherModelError: names each field that differs, with both values.
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
        mend = "use the settings and the tokenizer that it was trained with"
        raise OtherModelError(f"{path}: {'; '.join(differences)}", mend, ", or ")


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
            return path, *load(path)
        except CheckpointError as error:
            on_damaged(path, str(error))
    if paths:
        raise CheckpointError(
            f"none of the {len(paths)} training checkpoints of {base} in {folder} is whole: "
            "start without --resume"
        )
    raise CheckpointError(f"no training checkpoint of {base} in {folder}: start without --resume")
