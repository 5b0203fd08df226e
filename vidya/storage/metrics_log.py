"""`metrics.jsonl`: one JSON object a line, written as training goes.

The first line describes the run (`describe_run`), the others carry `step` and
what was measured there. A float is printed so that it reads back to the same
float; NaN and the infinities, for which JSON has no number, become the strings
"NaN", "Infinity" and "-Infinity", and `read_metrics` makes floats of them again.
"""

from __future__ import annotations

import datetime
import json
import math
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

import vidya
from vidya.errors import PlaceError, UserError
from vidya.storage.line_file import LineFile
from vidya.system.atomic_file import StrPath, write_bytes
from vidya.system.processor import processor_name

_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class MetricsWriter(LineFile):
    """Appends lines to a metrics file."""

    def __init__(self, path: StrPath) -> None:
        super().__init__(path, is_whole=lambda line: parse_line(line) is not None)

    def write(self, line: Mapping[str, object]) -> None:
        """Append one line; NumPy numbers are welcome.

        Raises:
            PlaceError: the disk is full; the lines before stay as they were.
        """
        try:
            self.append((json.dumps(_plain(line), allow_nan=False) + "\n").encode())
        except OSError as error:
            reason = f"cannot write {self.path}: {error.strerror}"
            raise PlaceError(reason, "free some space", " or ") from error


def describe_run(
    *,
    config: Mapping[str, object],
    options: Mapping[str, object],
    seed: int,
    threads: int,
    precision: str,
    tokenizer_hash: str,
    corpus_hash: str,
    openblas: str,
    init: Mapping[str, str] | None = None,
) -> dict[str, object]:
    """The first line of a metrics file: everything needed to repeat the run.

    `config` is the architecture, `options` the settings of the training, `openblas`
    what that library says of its version and build, `init` the path and digest of the
    checkpoint whose weights the run began with, None when they were random.
    """
    return {
        "kind": "run",
        "config": dict(config),
        "options": dict(options),
        "seed": seed,
        "versions": {
            "vidya": vidya.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "openblas": openblas,
        },
        "processor": processor_name(),
        "threads": threads,
        "precision": precision,
        "tokenizer_hash": tokenizer_hash,
        "corpus_hash": corpus_hash,
        "init": None if init is None else dict(init),
        "started": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def read_metrics(
    path: StrPath, on_damaged: Callable[[int], None] | None = None
) -> list[dict[str, Any]]:
    """All lines of a metrics file; a torn last one, left by a crash, is passed over.

    Args:
        path: the file.
        on_damaged: called with the number (from 1) of each other line that is no
            JSON object, which is then skipped; None makes such a line an error.

    Raises:
        UserError: there is no such file, or a line is damaged.
    """
    return list(each_line(path, on_damaged))


def each_line(
    path: StrPath, on_damaged: Callable[[int], None] | None = None
) -> Iterator[dict[str, Any]]:
    """As `read_metrics`, a line at a time: a run of weeks has 100 MB of them."""
    with _open(path) as file:
        for number, raw in enumerate(file, 1):
            line = parse_line(raw)
            if line is not None:
                yield line
            elif raw.endswith(b"\n"):
                if on_damaged is None:
                    raise UserError(f"{path}: line {number} is damaged: delete that line")
                on_damaged(number)


def lines_of_kind(path: StrPath) -> list[dict[str, Any]]:
    """The lines that describe sessions and changes, those with a `kind`; none without a file."""
    if not Path(path).exists():
        return []
    with _open(path) as file:
        some = (parse_line(raw) for raw in file if b'"kind"' in raw)  # few, of perhaps millions
        return [line for line in some if line is not None and "kind" in line]


def truncate_after(path: StrPath, step: int, *, evaluated: bool = True) -> int:
    """Drop the lines of steps greater than `step`, atomically; returns how many.

    For a run that resumes from the checkpoint of `step`: it will write those lines
    again. The lines of `step` itself stay, so they must have been written before
    the checkpoint was; but not those of an evaluation that the checkpoint does not
    know of (`evaluated` is False), which is made again. Lines without a step stay;
    damaged ones go. A missing file is left missing.
    """
    if not Path(path).exists():
        return 0
    with _open(path) as file:
        lines = file.readlines()
    kept = [raw for raw in lines if _belongs(raw, step, evaluated)]
    if kept != lines:
        write_bytes(path, b"".join(kept))
    return len(lines) - len(kept)


def _plain(value: object) -> object:
    """`value` as JSON can hold it: NumPy numbers as Python's, NaN as a string."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value


def parse_line(raw: bytes) -> dict[str, Any] | None:
    """The object of one line of a metrics file; None if it is damaged."""
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict):
        return None
    return {
        key: _NOT_FINITE.get(value, value) if isinstance(value, str) else value
        for key, value in line.items()
    }


def _open(path: StrPath) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise UserError(f"cannot read metrics {path}: {error.strerror}") from error


def _belongs(raw: bytes, step: int, evaluated: bool) -> bool:
    line = parse_line(raw)
    if line is None:
        return False
    its_step = line.get("step")
    if not isinstance(its_step, (int, float)):
        return True
    if its_step == step and "val_loss" in line:
        return evaluated
    return its_step <= step
