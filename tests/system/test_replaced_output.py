"""What an output file may replace."""

import pytest

from vidya.errors import PlaceError
from vidya.system.replaced_output import require_replaceable, require_replaceable_text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train.py", b"print(1)\n"),
        ("README.md", b"# Mine\n"),
        ("model.bin", b"\x10\0\0\0{}"),
        ("photo", b"\x89PNG\r\n\x1a\n"),
        ("run", b"#!/bin/sh\n"),
        ("metrics", b'{"step": 1}\n'),
        ("list", b'[\n "a"]\n'),
        ("latin.txt", b"caf\xe9 au lait\n"),
    ],
)
def test_what_is_recognisably_no_corpus_stays(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(PlaceError, match=f"{name} is there, is not a text of documents and would"):
        require_replaceable_text(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "content",
    [b"", b"<|user|> hi\n", "é".encode() * 40_000, b"a" + "é".encode() * 40_000, b"[sic]"],
)
def test_text_is_replaced(tmp_path, content):
    (tmp_path / "out.txt").write_bytes(content)
    require_replaceable_text(tmp_path / "out.txt")
    require_replaceable_text(tmp_path / "none.py")


def test_only_the_kind_that_is_to_be_written(tmp_path):
    path = tmp_path / "loss.png"
    path.write_bytes(b"notes")
    with pytest.raises(PlaceError, match="is not a picture and would be replaced: name another"):
        require_replaceable(path, lambda head: head.startswith(b"\x89PNG"), "a picture")
    require_replaceable(path, lambda head: head == b"notes", "a note")
