"""The first line of a metrics file: everything that is needed to repeat a run."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Mapping

import numpy as np

import vidya
from vidya.system.processor import processor_name


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
