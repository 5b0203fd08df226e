"""Pipes are read once and can be opened again; what is no file is refused."""

import contextlib
import os
import socket
import subprocess
import sys
import threading

import pytest
from support.commands import environment

from vidya.errors import UserError
from vidya.system import read_once
from vidya.system.read_once import is_read_once, open_file

CONTENT = b"".join(b"%d\n" % number for number in range(100_000))


def feed(path, content=CONTENT):
    def write():
        with contextlib.suppress(BrokenPipeError):
            path.write_bytes(content)

    thread = threading.Thread(target=write)
    thread.start()
    return thread


@pytest.fixture
def fifo(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


def read(path):
    with open_file(path) as file:
        return file.read()


def test_a_fifo_can_be_read_again_and_again(fifo):
    said = []
    thread = feed(fifo)
    with open_file(fifo, said.append) as first, open_file(fifo, said.append) as second:
        assert first.read(10) == CONTENT[:10] and second.read() == CONTENT
        assert first.read() == CONTENT[10:]
    thread.join()
    assert read(fifo) == CONTENT
    assert len(said) == 1 and said[0].startswith(f"{fifo} can be read only once: copying it")


def test_a_descriptor(tmp_path):
    reading, writing = os.pipe()
    os.write(writing, b"hello")
    os.close(writing)
    assert read(f"/dev/fd/{reading}") == read(f"/dev/fd/{reading}") == b"hello"
    os.close(reading)


def test_a_file_is_opened_as_it_is(tmp_path):
    (tmp_path / "a").write_bytes(CONTENT)
    assert read(tmp_path / "a") == CONTENT and not is_read_once(tmp_path / "a")


def test_what_can_be_read_once(fifo, tmp_path):
    assert all(map(is_read_once, [fifo, "-", "/dev/stdin", "/dev/fd/63", "/proc/self/fd/0"]))
    assert not is_read_once(tmp_path) and not is_read_once(tmp_path / "none")


def test_another_process_finds_the_copies(fifo, tmp_path):
    thread = feed(fifo, b"hello")
    read(fifo)
    thread.join()
    code = (
        "import sys; from vidya.system import read_once; read_once.adopt(eval(sys.argv[1])); "
        "print(read_once.open_file(sys.argv[2]).read())"
    )
    known = read_once.copies()
    words = [sys.executable, "-c", code, repr(known), os.fspath(fifo)]
    done = subprocess.run(words, capture_output=True, text=True, env=environment(), timeout=60)
    assert done.stdout == "b'hello'\n", done.stderr


def refusal(path):
    with pytest.raises(UserError) as error:
        open_file(path)
    return str(error.value)


def test_what_is_no_file(tmp_path):
    assert "is a folder" in refusal(tmp_path)
    assert "there is no such file" in refusal(tmp_path / "none")
    (tmp_path / "persona.txt").touch()
    assert refusal(tmp_path / "persno.txt").endswith(f": did you mean {tmp_path}/persona.txt?")
    assert "is a device" in refusal("/dev/zero")
    assert read(os.devnull) == b""
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.fspath(tmp_path / "s"))
        assert "is a socket" in refusal(tmp_path / "s")
    ours, theirs = os.openpty()
    assert "is a terminal" in refusal(os.ttyname(theirs))
    os.close(ours), os.close(theirs)


def test_no_room_for_a_copy(fifo, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(read_once.shutil, "copyfileobj", full)
    thread = feed(fifo, b"x")
    assert "No space left on device" in (message := refusal(fifo)) and "TMPDIR" in message
    thread.join()


def test_damage_is_told_with_the_name(tmp_path):
    link = tmp_path / "unreadable"
    link.symlink_to("/proc/self/mem")
    with pytest.raises(UserError, match=rf"cannot read on in {link}: .*: is its disk whole"):
        read_once.open_file(link).read(1)
