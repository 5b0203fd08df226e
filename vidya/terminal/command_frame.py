"""What surrounds every command: its streams, the signals that end it, and its exit status."""

from __future__ import annotations

import os
from collections.abc import Callable

from vidya.errors import UserError
from vidya.system.stop_signal import leaving_at_signals
from vidya.terminal.streams import (
    finish_output,
    open_standard_streams,
    output_is_not_essential,
    say,
)


def run_command(main: Callable[[], int | None]) -> int:
    """Call a command's `main` and turn its outcome into an exit status.

    Returns what `main` returned (None counts as 0), 2 for a `UserError` or an
    operating system error such as a full disk or a missing file, 130 for an
    interrupt that the command itself did not handle, 1 where the reader of its output has gone.
    SIGTERM and SIGHUP leave it as an exception does, so that files and the terminal are
    put in order.
    """
    open_standard_streams()
    _keep_files_usable()
    with leaving_at_signals():
        status = _outcome(main)
        try:
            finish_output()
        except OSError as error:
            return status or _failed(error)
    return status


def _outcome(main: Callable[[], int | None]) -> int:
    try:
        return main() or 0
    except UserError as error:
        say(f"error: {error}{_where_we_are()}")
        return 2
    except OSError as error:
        return _failed(error)
    except RuntimeError as error:
        if "start new thread" not in str(error):
            raise
        say("error: the system starts no more threads: raise its limits (ulimit -u, ulimit -v)")
        return 2
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    except SystemExit as leaving:  # after --help, or at a signal: output is still held back
        if isinstance(leaving.code, str):
            say(leaving.code)
            return 1
        return leaving.code or 0


def _failed(error: OSError) -> int:
    """The exit status of an error of the system, told in a line."""
    output_is_not_essential()  # if that is what failed, it is not tried again
    if isinstance(error, BrokenPipeError):  # its reader went away (`| head`): no error of ours
        return 1
    where = f": {os.fsdecode(error.filename)}" if error.filename else ""
    say(f"error: {error.strerror or error}{where}{_where_we_are()}")
    return 2


def _keep_files_usable() -> None:
    """Let files be ours to read and write, whatever else the umask takes away."""
    mask = os.umask(0)
    os.umask(mask & 0o077)
    if mask & 0o700:
        say(f"umask {mask:03o} would make files that you cannot use yourself: they stay yours")


def _where_we_are() -> str:
    """What may explain an error: a current folder that is no more."""
    try:
        os.getcwd()
    except OSError:
        return " (the current folder has been deleted: cd to another)"
    return ""
