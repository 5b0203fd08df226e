"""Where Python looks for modules when a command runs: never in the current folder.

`python -m` puts the current folder first, so that a `random.py` or a folder `numpy` which
happens to lie there would be imported in place of what is meant. A command that is started in
this way forgets the folder, as with `python -P`; one that PYTHONPATH names stays.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any


def forget_current_folder(home: str) -> None:
    """Take the current folder off `sys.path`, now or as soon as Python has put it there.

    Args:
        home: the folder that holds the package: where it is the current one, it becomes the last
            one on the path, for processes that this one starts.
    """
    if getattr(sys.flags, "safe_path", sys.flags.isolated):
        return  # it is not there
    try:
        here = os.getcwd()
        entries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        named = [os.path.abspath(entry) for entry in entries if entry]
    except OSError:  # it has been deleted
        here, named = "", []
    if here in named:
        return
    if "runpy" in sys.modules:
        _take_off(here, home)
    else:  # Python is still starting, and comes to that later
        finders: list[Any] = sys.meta_path
        finders.insert(0, _Waiting(here, home))


def _take_off(here: str, home: str) -> None:
    sys.path[:] = [entry for entry in sys.path if entry not in (here, "")]
    if here == home:
        sys.path.append(here)


@contextlib.contextmanager
def forgotten_in_children() -> Iterator[None]:
    """Pythons that are started inside forget the current folder too (from Python 3.11 on)."""
    name = "PYTHONSAFEPATH"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


class _Waiting:
    """A finder that finds no module, but is asked for each, before Python looks for any."""

    def __init__(self, here: str, home: str) -> None:
        self._here, self._home = here, home

    def find_spec(self, name: str, *_: object) -> None:
        """Take the folder off the path when what runs commands is looked for, the first one."""
        if name == "runpy" or "runpy" in sys.modules:
            finders: list[Any] = sys.meta_path
            finders.remove(self)
            _take_off(self._here, self._home)
