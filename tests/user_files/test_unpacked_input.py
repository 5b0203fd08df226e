"""Packed and encoded files read as text, in bounded memory."""

import bz2
import gzip
import lzma
import sys
import tracemalloc

import pytest
from support.chat_files import zstd

from vidya.errors import UserError
from vidya.text.corpus_file import read_documents

LINES = [f"line {number} of it, schön" for number in range(10_000)]
TEXT = "".join(f"{line}\n" for line in LINES)
PACKERS = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "zstd": zstd}
ENCODINGS = ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]


def read(tmp_path, raw):
    (tmp_path / "c").write_bytes(raw)
    return list(read_documents(tmp_path / "c"))


@pytest.mark.parametrize("packer", PACKERS)
def test_packed(tmp_path, packer):
    pack = PACKERS[packer]
    assert read(tmp_path, pack(TEXT.encode())) == LINES
    assert read(tmp_path, pack(b"one\n") + pack(b"two\n")) == ["one", "two"]
    assert read(tmp_path, gzip.compress(pack(TEXT.encode("utf-16")))) == LINES


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encodings_of_unicode(tmp_path, encoding, capsys):
    text = TEXT.replace("\n", "\r\n")
    assert read(tmp_path, text.encode(encoding)) == LINES
    said = capsys.readouterr().err.splitlines()
    assert len(said) == (encoding != "utf-8-sig")


def test_line_ends_of_old_macs(tmp_path):
    assert read(tmp_path, TEXT.replace("\n", "\r").encode()) == LINES


@pytest.mark.parametrize("packer", PACKERS)
def test_damage(tmp_path, packer):
    whole = PACKERS[packer](TEXT.encode())
    for raw in (whole[: len(whole) // 2], whole[:-1], whole[:40] + b"\xff" * 40 + whole[80:]):
        with pytest.raises(UserError, match=r"cannot unpack .*fetch it again"):
            read(tmp_path, raw)


def test_utf16_that_was_cut(tmp_path):
    with pytest.raises(UserError, match=r"c is not utf-16 past line 1000\d"):
        read(tmp_path, TEXT.encode("utf-16")[:-1])


def test_without_zstd(tmp_path, monkeypatch):
    for name in ("compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=r"needs: python -m pip install backports\.zstd"):
        read(tmp_path, b"\x28\xb5\x2f\xfd....")


@pytest.mark.parametrize("packer", ["gzip", "zstd"])
def test_what_grows_when_it_is_unpacked_is_read_in_little_memory(tmp_path, packer):
    (tmp_path / "c").write_bytes(PACKERS[packer]((b"a" * 999 + b"\n") * 8_000))
    documents = read_documents(tmp_path / "c")
    assert next(documents) == "a" * 999  # what is imported and kept by then does not count
    tracemalloc.start()
    assert sum(1 for _ in documents) == 7_999
    assert tracemalloc.get_traced_memory()[1] < 2e6
    tracemalloc.stop()
