"""Atomic writes: the old file or the new one, never anything else."""

import errno
import fcntl
import os
import re
import resource
import signal
import stat
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from vidya.errors import UserError
from vidya.system.atomic_file import atomic_write, recall_json, remember_json, remove_stale


def put(content: bytes):
    def write(file):
        file.write(content)

    return write


@contextmanager
def file_size_limit(limit: int):
    """Files that would grow past `limit` bytes fail with EFBIG, for root too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def small_disk(folder: Path, size: str = "3m"):
    """A file system of `size` at `folder`, or a skip where we may not mount one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"cannot mount a tmpfs here ({error}); the file size limit tests stand in")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_creates_and_replaces(tmp_path):
    path = tmp_path / "file"
    atomic_write(path, put(b"one"))
    assert path.read_bytes() == b"one"
    atomic_write(str(path), put(b"two"))
    assert path.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["file"]


def test_the_file_gets_ordinary_permissions(tmp_path):
    mask = os.umask(0o027)
    try:
        atomic_write(tmp_path / "file", put(b""))
    finally:
        os.umask(mask)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_content_is_on_disk_before_the_name_and_the_name_before_return(tmp_path, monkeypatch):
    path, calls = tmp_path / "file", []
    fsync, replace = os.fsync, os.replace

    def log_fsync(descriptor):
        kind = "folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file"
        calls.append((kind, os.fstat(descriptor).st_size if kind == "file" else None))
        fsync(descriptor)

    def log_replace(source, target):
        calls.append(("replace", str(target)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", log_fsync)
    monkeypatch.setattr(os, "replace", log_replace)
    atomic_write(path, put(b"12345"))
    assert calls == [("file", 5), ("replace", str(path)), ("folder", None)]


@pytest.mark.parametrize(
    "error", [RuntimeError("no"), KeyboardInterrupt(), OSError(errno.EIO, "x")]
)
def test_a_failure_leaves_the_old_file_and_no_temporary(tmp_path, error):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(file):
        file.write(b"new")
        raise error

    with pytest.raises(type(error)):
        atomic_write(path, fail)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_temporary_is_recognisable_while_it_is_written(tmp_path):
    seen = []
    atomic_write(tmp_path / "file", lambda file: seen.extend(os.listdir(tmp_path)))
    assert [re.fullmatch(rf"\.file\.tmp-{os.getpid()}-\d+", name) is not None for name in seen] == [
        True
    ]


def check_full_disk(path: Path, reason: str, mend: str = "free some space") -> None:
    atomic_write(path, put(b"old" * 100))
    content = os.urandom(4 << 20)
    with pytest.raises(UserError) as caught:
        atomic_write(path, put(content), len(content))
    message = str(caught.value)
    assert message.startswith(reason)
    assert "4.2 MB needed" in message and "MB free" in message
    assert f"previous {path.name} is untouched" in message and f": {mend};" in message
    assert "\n" not in message
    assert path.read_bytes() == b"old" * 100
    assert os.listdir(path.parent) == [path.name]


def test_full_disk(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        check_full_disk(disk / "file", "disk full")


def test_file_size_limit(tmp_path):
    with file_size_limit(1 << 20):
        check_full_disk(tmp_path / "file", "file size limit", "raise it")


def test_full_disk_without_a_previous_file(tmp_path):
    def fail(file):
        with open("/dev/full", "wb", buffering=0) as full:
            full.write(b"x")

    with pytest.raises(UserError, match=r"^disk full") as caught:
        atomic_write(tmp_path / "file", fail)
    assert "previous" not in str(caught.value)


@pytest.mark.parametrize("path", ["missing/file", "plain/file"])
def test_a_folder_that_is_none(tmp_path, path):
    (tmp_path / "plain").write_text("a file")
    with pytest.raises(UserError, match=r"cannot write .*: check the permissions"):
        atomic_write(tmp_path / path, put(b""))


def test_a_left_over_name_is_not_in_the_way(tmp_path, monkeypatch):
    monkeypatch.setattr("vidya.system.atomic_file._counter", iter(range(3)))
    left_over = tmp_path / f".file.tmp-{os.getpid()}-0"
    left_over.write_bytes(b"from a process that had our number")
    atomic_write(tmp_path / "file", put(b"new"))
    assert (tmp_path / "file").read_bytes() == b"new"
    assert left_over.exists()


def test_threads_write_the_same_file(tmp_path):
    path = tmp_path / "file"
    contents = [bytes([i]) * 100_000 for i in range(8)]
    threads = [threading.Thread(target=atomic_write, args=(path, put(c))) for c in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert os.listdir(tmp_path) == ["file"]


WRITER = """
import sys, time
from vidya.system.atomic_file import atomic_write
def write(file):
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    sys.stdin.read()
atomic_write(sys.argv[1], write)
"""


def test_remove_stale_takes_those_of_the_dead_only(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    (tmp_path / ".file.tmp-notes").write_text("not ours")
    stranger = tmp_path / ".other.tmp-1-0"  # process 1 lives, but does not write this
    stranger.write_bytes(b"")
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert writer.stdout.readline() == b"writing\n"
        assert remove_stale(tmp_path) == [stranger]
        temporary = [n for n in os.listdir(tmp_path) if n.startswith(f".file.tmp-{writer.pid}-")]
        assert len(temporary) == 1
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        assert remove_stale(tmp_path) == [tmp_path / temporary[0]]
    finally:
        writer.kill()
        writer.communicate()
    assert sorted(os.listdir(tmp_path)) == [".file.tmp-notes", "file"]
    assert path.read_bytes() == b"old"


def test_remove_stale_leaves_our_own_alone(tmp_path):
    def write(file):
        assert remove_stale(tmp_path) == []
        file.write(b"new")

    atomic_write(tmp_path / "file", write)
    assert (tmp_path / "file").read_bytes() == b"new"


def test_writing_and_clearing_at_once(tmp_path):
    """A clearing process that sweeps all the time never takes a file in use."""
    stop = threading.Event()
    removed = []

    def sweep():
        while not stop.is_set():
            removed.extend(remove_stale(tmp_path))

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        for number in range(300):
            atomic_write(tmp_path / "file", put(str(number).encode()))
            assert (tmp_path / "file").read_bytes() == str(number).encode()
    finally:
        stop.set()
        sweeper.join()
    assert os.listdir(tmp_path) == ["file"]


def test_a_temporary_that_is_swept_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    """The one instant in which a temporary looks like a leftover."""
    lock, swept = fcntl.flock, []

    def sweep_first(descriptor, operation):
        if not swept:
            swept.append(None)  # the sweep locks too
            swept[:] = remove_stale(tmp_path)
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", sweep_first)
    atomic_write(tmp_path / "file", put(b"new"))
    assert len(swept) == 1
    assert (tmp_path / "file").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


# ---------------------------------------------------------------- remembered JSON


def test_what_was_remembered(tmp_path):
    remember_json(tmp_path / "f", {"a": [1, "ü"]}, end="\n")
    assert (tmp_path / "f").read_bytes() == b'{\n "a": [\n  1,\n  "\\u00fc"\n ]\n}\n'
    assert recall_json(tmp_path / "f") == {"a": [1, "ü"]}


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_damaged_file_is_nothing(tmp_path, damage):
    (tmp_path / "f").write_bytes(damage)
    assert recall_json(tmp_path / "f") is None


def test_a_missing_file_is_nothing(tmp_path):
    assert recall_json(tmp_path / "f") is None
    assert recall_json(tmp_path) is None


def test_a_device_or_a_pipe_is_written_into(tmp_path):
    os.mkfifo(pipe := tmp_path / "pipe")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    atomic_write(pipe, lambda file: file.write(b"text"))
    assert os.read(reader, 9) == b"text" and stat.S_ISFIFO(pipe.stat().st_mode)
    os.close(reader)
    before = os.stat("/dev/null")
    atomic_write("/dev/null", lambda file: file.write(b"text"))
    assert os.stat("/dev/null").st_ino == before.st_ino


def test_what_a_link_points_to_stays(tmp_path):
    (tmp_path / "book.txt").write_text("a book")
    (tmp_path / "link.txt").symlink_to("book.txt")
    atomic_write(tmp_path / "link.txt", lambda file: file.write(b"text"))
    assert (tmp_path / "book.txt").read_text() == "a book"
    assert (tmp_path / "link.txt").read_text() == "text"


def test_too_many_open_files(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(UserError, match=r"Too many open files: raise the limit \(ulimit -n\)$"):
            atomic_write(tmp_path / "file", put(b"new"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
