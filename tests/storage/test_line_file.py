import os
import resource

import pytest

from vidya.storage.line_file import LineFile


def test_lines_follow_each_other(tmp_path):
    for number in range(3):
        with LineFile(tmp_path / "f") as file:
            file.append(b"%d\n" % number, sync=number == 2)
    assert (tmp_path / "f").read_bytes() == b"0\n1\n2\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b""),
        (b"a\nb\n", b"a\nb\n"),
        (b"a\nb", b"a\n"),
        (b"b", b""),
        (b"a\nwhole", b"a\nwhole\n"),
        (b"whole", b"whole\n"),
    ],
)
def test_the_last_line_is_mended(tmp_path, before, after):
    (tmp_path / "f").write_bytes(before)
    with LineFile(tmp_path / "f", is_whole=lambda line: line == b"whole"):
        assert (tmp_path / "f").read_bytes() == after


def test_a_line_that_does_not_fit_leaves_nothing(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with LineFile(tmp_path / "f") as file:
        file.append(b"one\n")
        resource.setrlimit(resource.RLIMIT_FSIZE, (6, hard))  # cuts the next line in two
        try:
            with pytest.raises(OSError, match="File too large"):
                file.append(b"another\n")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        file.append(b"two\n")
    assert (tmp_path / "f").read_bytes() == b"one\ntwo\n"


def test_a_line_that_cannot_be_flushed_is_taken_back(tmp_path, monkeypatch):
    def fail(_):
        raise OSError(5, "Input/output error")

    with LineFile(tmp_path / "f") as file, monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="Input/output error"):
            file.append(b"one\n", sync=True)
    assert (tmp_path / "f").read_bytes() == b""


def test_a_file_that_must_be_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        LineFile(tmp_path / "f", create=False)
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_another_name_of_the_file_keeps_what_it_has(tmp_path, link):
    """A copy of a folder that was made with links is another run."""
    (tmp_path / "a").write_bytes(b"one\n")
    link(tmp_path / "a", tmp_path / "b")
    with LineFile(tmp_path / "b") as file:
        file.append(b"two\n")
    assert (tmp_path / "a").read_bytes() == b"one\n"
    assert (tmp_path / "b").read_bytes() == b"one\ntwo\n"
