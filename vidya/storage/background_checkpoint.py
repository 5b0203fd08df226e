"""Checkpoints written beside training, which hardly waits for them.

A save of 25m is 400 MB to copy, hash and write: most of a second, and on a slow disk
many. Training does not wait for that. What a save reads, parameters and moments, changes
only in the optimizer's update, at the end of a step; so

1. a thread copies the state while forward and backward of the next step run, which only
   read it. Before its update that step waits for the rest of the copy, if there is any;
2. once that step's loss and gradients are known to be finite the copy is worth keeping
   (`confirm`), and the thread hashes and writes it at a low priority. If they are
   not, the copy is dropped and the checkpoints before it stay the newest.

The copies' memory is kept for the next save: the size of a training checkpoint.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path

import numpy as np

from vidya.storage import checkpoint
from vidya.storage.checkpoint import Array

Action = Callable[[], None]
_NICER = 10
"""Steps of niceness, each 1.25 times less of the processor. At the lowest priority, where it
is a seventieth, a busy machine would take minutes, in which a crash finds the save unfinished."""


class _Save:
    """One checkpoint on its way to the disk."""

    def __init__(self) -> None:
        self.copied = threading.Event()
        self.wanted: Future[bool] = Future()
        self.written: Future[None] = Future()
        self.stall = 0.0


class CheckpointWriter:
    """Saves in the background, one at a time; use it as a context manager.

    Between `begin` and `confirm` the tensors may be read but not changed. Leaving the
    block drops a save that was not confirmed and waits for one that was.

    Attributes:
        longest_stall: the most seconds that one save has kept its caller waiting.
        saves: how many have been confirmed.
    """

    def __init__(self) -> None:
        self.longest_stall = 0.0
        self.saves = 0
        self._copies: dict[str, Array] = {}
        self._save: _Save | None = None

    @property
    def undecided(self) -> bool:
        """Whether a save waits to be confirmed."""
        return self._save is not None and not self._save.wanted.done()

    def reserve(self, tensors: Mapping[str, Array]) -> None:
        """Take the memory of the copies now: paging it in is most of a first save's time.

        Not while a save is on its way: it would lose what it has copied.
        """
        if self._save is not None:
            raise RuntimeError("a save is on its way")
        self._copies = {name: np.zeros_like(array) for name, array in tensors.items()}
        for copy in self._copies.values():
            copy.fill(0)  # zeros alone are not there before they are touched

    def begin(
        self, path: Path, tensors: Mapping[str, Array], meta: Mapping[str, object],
        *, before: Action, after: Action,
    ) -> None:  # fmt: skip
        """Start to copy the tensors for a checkpoint at `path`.

        A save that is still being written is waited for.

        Args:
            path: file to create or replace.
            tensors: the same names, shapes and dtypes at each call.
            meta: JSON values that describe them.
            before: called, in another thread, before anything stands at `path`.
            after: called there when it is on the disk.

        Raises:
            UserError: an earlier save failed.
        """
        start = time.perf_counter()
        self.finish()
        save = _Save()

        def run() -> None:
            try:
                if not self._copies:
                    self._copies = {name: np.empty_like(array) for name, array in tensors.items()}
                for name, array in tensors.items():
                    np.copyto(self._copies[name], array)  # without the GIL
                save.copied.set()
                if save.wanted.result():
                    give_way()
                    before()
                    checkpoint.save(path, self._copies, meta)
                    after()
                save.written.set_result(None)
            except BaseException as error:  # shown by the training thread
                save.written.set_exception(error)
            finally:
                save.copied.set()

        # a daemon: the second Ctrl-C ends the program, not the disk's leisure
        threading.Thread(target=run, name="checkpoint", daemon=True).start()
        self._save = save
        save.stall = time.perf_counter() - start

    def confirm(self) -> float | None:
        """Let the save that was begun be written; its tensors may change from now on.

        Returns:
            Seconds that the save has kept its caller waiting; None if none was begun.
        """
        save = self._save
        if save is None or save.wanted.done():
            return None
        start = time.perf_counter()
        save.copied.wait()
        save.wanted.set_result(True)
        save.stall += time.perf_counter() - start
        self.longest_stall = max(self.longest_stall, save.stall)
        self.saves += 1
        return save.stall

    def check(self) -> None:
        """Raise the error of a save that has failed, if there is one."""
        save = self._save
        if save is not None and save.written.done() and save.written.exception() is not None:
            self.finish()

    def finish(self) -> None:
        """Wait until what was confirmed is on the disk; drop what was not.

        Raises:
            UserError: it could not be written; the checkpoints before it are whole.
        """
        save, self._save = self._save, None
        if save is not None:
            if not save.wanted.done():
                save.wanted.set_result(False)
            save.written.result()

    def __enter__(self) -> CheckpointWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.finish()
        elif issubclass(kind, Exception):
            # the error that ends the training is the one to show
            with contextlib.suppress(Exception):
                self.finish()


def give_way() -> None:
    """Let this thread, alone, have a tenth of the time that each of the others has."""
    # Elsewhere a thread has no priority of its own, or its number means a process.
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with contextlib.suppress(OSError):
            nice = os.getpriority(os.PRIO_PROCESS, thread)
            os.setpriority(os.PRIO_PROCESS, thread, min(19, nice + _NICER))
