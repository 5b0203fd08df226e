"""One caller at a time: threads wait for each other, and what could wait for ever is an error."""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable

from vidya.errors import UserError

_all: weakref.WeakSet[OneAtATime] = weakref.WeakSet()


class OneAtATime:
    """A lock around something that one thread may use at a time: `with lock: …`.

    A thread that holds it already gets an error where it would wait for itself. After a fork the
    child has a lock of its own; if another thread held it at that moment, what it guards was left
    in the middle of something, and whoever asks for it is told so.
    """

    def __init__(self, what: str) -> None:
        """Make a lock that nobody holds; `what` it guards is named in errors."""
        self._what = what
        self._lock = threading.Lock()
        self._owner: int | None = None
        self._torn = False
        self._waiting: deque[Callable[[], None]] = deque()
        _all.add(self)

    def __enter__(self) -> None:
        """Wait until no other thread holds it.

        Raises:
            UserError: this thread holds it, or the process is a fork that got it while in use.
        """
        if self._torn:
            raise UserError(
                f"{self._what} was in use by another thread when this process was forked: "
                "load it again here, or fork before it is used"
            )
        if self._owner == threading.get_ident():
            raise UserError(
                f"{self._what} is in the middle of another call of this thread: let that end first"
            )
        self._lock.acquire()
        self._owner = threading.get_ident()

    def __exit__(self, *error: object) -> None:
        """Let the next one."""
        self._owner = None
        self._lock.release()
        self._do_what_waits()

    def soon(self, call: Callable[[], None]) -> None:
        """Make a short call as soon as nobody else holds the lock, perhaps in another thread.

        It never waits, so that a finaliser may use it, which runs in whatever code is running.
        """
        self._waiting.append(call)
        self._do_what_waits()

    def _do_what_waits(self) -> None:
        while self._waiting and not self._torn and self._lock.acquire(blocking=False):
            try:
                self._waiting.popleft()()
            finally:
                self._lock.release()

    def _in_child(self) -> None:
        self._torn = self._torn or self._lock.locked()
        self._lock, self._owner = threading.Lock(), None


def _renew_in_child() -> None:
    for one in list(_all):
        one._in_child()


os.register_at_fork(after_in_child=_renew_in_child)
