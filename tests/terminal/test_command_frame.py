"""What surrounds a command: exit statuses, signals, results that cannot be written."""

import os
import signal
import subprocess
import sys

import pytest
from support.commands import environment

from vidya.errors import UserError
from vidya.terminal.command_frame import run_command


@pytest.mark.parametrize(
    ("outcome", "status", "said"),
    [
        (None, 0, ""),
        (3, 3, ""),
        (UserError("no: do this"), 2, "error: no: do this\n"),
        (OSError(28, "No space left", "x"), 2, "error: No space left: x\n"),
        (OSError(2, "No such file", b"xy"), 2, "error: No such file: xy\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (BrokenPipeError(), 1, ""),
        (SystemExit(), 0, ""),
        (SystemExit(4), 4, ""),
        (SystemExit("no"), 1, "no\n"),
    ],
)
def test_the_outcome_of_a_command_is_its_exit_status(outcome, status, said, capsys):
    def main():
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    assert run_command(main) == status
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_a_command_as_an_exception_does(number):
    before, cleaned = signal.getsignal(number), []

    def main():
        try:
            os.kill(os.getpid(), number)
        finally:
            os.kill(os.getpid(), number)  # a second one changes nothing
            cleaned.append(True)

    assert run_command(main) == 128 + number and cleaned
    assert signal.getsignal(number) is before


def run(code, *before, **files):
    """A command whose `main` is `code`, in a process of its own."""
    program = f"from vidya.terminal.command_frame import *\ndef main():\n{code}\n"
    program += "raise SystemExit(run_command(main))"
    files = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **files}
    return subprocess.run(
        [*before, sys.executable, "-c", program], text=True, timeout=60, env=environment(), **files
    )


@pytest.fixture
def full():
    with open("/dev/full", "wb") as file:
        yield file


def run_without_reader(code):
    """`run` with an output that nobody reads."""
    read, write = os.pipe()
    os.close(read)
    try:
        return run(code, stdout=write)
    finally:
        os.close(write)


def test_a_result_that_cannot_be_written_is_an_error(full):
    """Also one that is held back until the end."""
    done = run("    print('result')", stdout=full)
    assert (done.returncode, done.stderr) == (2, "error: No space left on device\n")


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_has_enough_ends_a_command_quietly(lines):
    """Whether it is noticed on the way or at the end."""
    done = run_without_reader(f"    for n in range({lines}):\n        print(n)")
    assert (done.returncode, done.stderr) == (1, "")


def test_a_reader_that_has_enough_of_help_ends_it_quietly():
    """What prints --help leaves the process by itself."""
    done = run_without_reader("    print('usage')\n    raise SystemExit(0)")
    assert (done.returncode, done.stderr) == (1, "")


def test_what_is_not_essential_may_be_lost(full):
    code = "    output_is_not_essential()\n    print('result')\n    return 5"
    done = run(code, stdout=full)
    assert done.returncode == 5
    assert done.stderr == (
        "cannot write to standard output (No space left on device): the work goes on without it\n"
    )


def test_an_ignored_signal_stays_ignored():
    """As under nohup, or in the background of a shell script."""
    code = (
        "    import os, signal\n"
        "    from vidya.system.stop_signal import StopSignal\n"
        "    stop = StopSignal()\n"
        "    with stop.watching():\n"
        "        os.kill(os.getpid(), signal.SIGHUP)\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    return 5 if stop.signal is None else 6"
    )
    assert run(code, "sh", "-c", 'trap "" HUP INT; exec "$@"', "sh").returncode == 5


def test_files_stay_usable_whatever_the_umask_says(capsys):
    before = os.umask(0o777)
    try:
        assert run_command(lambda: None) == 0
        assert os.umask(0o777) == 0o077
        assert capsys.readouterr().err.startswith("umask 777 would make files that you cannot use")
        for mask in (0o000, 0o022, 0o077):
            os.umask(mask)
            assert run_command(lambda: None) == 0
            assert os.umask(mask) == mask
        assert capsys.readouterr().err == ""
    finally:
        os.umask(before)


def test_a_system_that_starts_no_threads_is_told(capsys):
    def main():
        raise RuntimeError("can't start new thread")

    assert run_command(main) == 2
    said = "error: the system starts no more threads: raise its limits (ulimit -u, ulimit -v)\n"
    assert capsys.readouterr().err == said
