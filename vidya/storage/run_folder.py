"""The folder of a training run: what lies where in it, and who may write to it.

A run folder holds `tokenizer.json`, the checkpoints, `metrics.jsonl`,
`samples.txt` and the token caches. One training at a time writes to it: it holds
a lock on `.lock` that ends with its process, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

from vidya.errors import UserError
from vidya.storage.checkpoint_folder import (
    checkpoint_name,
    finetuned_name,
)
from vidya.system.atomic_file import remove_stale

StrPath = str | os.PathLike[str]
_held: set[int] = set()
"""Descriptors of the locks this process holds."""


def _drop_locks_in_child() -> None:
    """A forked child closes its copies, or it would hold the lock after we are gone."""
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_drop_locks_in_child)


class RunFolder:
    """A folder that one training writes to.

    `with RunFolder(path) as run:` holds the folder's lock inside the block and
    clears away temporary files that killed processes left in it.

    Raises:
        UserError: the folder cannot be made or written to, or (on entering) another
            process holds its lock.
    """

    def __init__(self, path: StrPath) -> None:
        self.path = Path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise UserError(f"{path} is not a folder: use another --out") from error
        except OSError as error:
            raise UserError(
                f"cannot create folder {path}: {error.strerror}: use another --out"
            ) from error
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise UserError(f"cannot write to folder {path}: use another --out")
        self._lock: int | None = None

    @property
    def tokenizer(self) -> Path:
        """The tokenizer, as the `tokenizers` library reads it."""
        return self.path / "tokenizer.json"

    @property
    def summaries(self) -> Path:
        """What was learned of the corpora by reading them (`vidya.storage.file_stamp_cache`)."""
        return self.path / "corpora.json"

    @property
    def metrics(self) -> Path:
        """One JSON object a line (`vidya.storage.metrics_log`)."""
        return self.path / "metrics.jsonl"

    @property
    def rl_metrics(self) -> Path:
        """What reinforcement learning has measured, as `metrics` (`vidya.rl`)."""
        return self.path / "rl.jsonl"

    @property
    def finetuning(self) -> Path:
        """What fine-tuning measured, one JSON object a line."""
        return self.path / "finetune.jsonl"

    @property
    def samples(self) -> Path:
        """Replies sampled during training."""
        return self.path / "samples.txt"

    def cache(self, split: str) -> Path:
        """Token cache of a split of the corpus, such as `train` or `val`."""
        return self.path / f"{split}.tokens"

    def checkpoint(self, base: str, step: int | None = None) -> Path:
        """The checkpoint after `step` steps, or the final weights for None."""
        return self.path / checkpoint_name(base, step)

    def finetuned(self, base: str) -> Path:
        """The weights after fine-tuning or teaching."""
        return self.path / finetuned_name(base)

    def acquire(self) -> None:
        """Take the lock and clear away what killed processes left half-written."""
        try:
            descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise UserError(
                f"cannot write to folder {self.path}: {error.strerror}: use another --out"
            ) from error
        try:
            _lock_patiently(descriptor)
        except BlockingIOError as error:
            owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise UserError(
                f"{self.path} is in use by another training (process {owner or 'unknown'}): "
                "stop that one first, or use another --out"
            ) from error
        except OSError:
            # A file system without locks must not keep anyone from training.
            pass
        self._lock = descriptor
        _held.add(descriptor)
        # The number only serves the message above: a full disk does not matter here.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        remove_stale(self.path)

    def release(self) -> None:
        """Give the lock up; without effect when it is not held."""
        if self._lock in _held:
            _held.discard(self._lock)
            os.close(self._lock)
        self._lock = None

    def __enter__(self) -> RunFolder:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


def _lock_patiently(descriptor: int) -> None:
    """Take the lock; a glance of `training_process`, which is over at once, is no training."""
    for wait in (0.02, 0.1, None):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if wait is None:
                raise
            time.sleep(wait)
        else:
            return


def training_process(folder: StrPath) -> int | None:
    """Number of the process that is training in `folder`; 0 if unknown, None if none is."""
    try:
        descriptor = os.open(Path(folder) / ".lock", os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(descriptor, 32, 0).strip()
        return int(owner) if owner.isdigit() else 0
    except OSError:  # a file system without locks: nobody knows
        return None
    finally:
        os.close(descriptor)
    return None
