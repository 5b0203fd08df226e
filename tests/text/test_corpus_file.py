from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidya.errors import UserError
from vidya.text import corpus_file

NO_TEXT = "\r\n\ufeff\x7f" + "".join(map(chr, [*range(9), *range(14, 32)]))
lines = st.lists(st.text(st.characters(codec="utf-8", exclude_characters=NO_TEXT)))


def written(tmp_path: Path, raw: bytes, name: str = "c.txt") -> Path:
    path = tmp_path / name
    path.write_bytes(raw)
    return path


@given(lines, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.sampled_from(["", "\ufeff"]))
def test_a_line_is_a_document(tmp_path_factory, documents, end, last_end, bom):
    text = bom + end.join(documents) + (end if last_end else "")
    path = written(tmp_path_factory.mktemp("c"), text.encode())
    expected = [d for d in documents if d.strip()]
    assert list(corpus_file.read_documents(path)) == expected
    assert [line for line in corpus_file.read_lines(path) if line.strip()] == expected


def test_only_newlines_end_a_line(tmp_path):
    odd = "a\u2028b\u0085c\x0bd\x0ce\x1cf\rg"
    path = written(tmp_path, f"{odd}\r\nnext".encode())
    assert list(corpus_file.read_documents(path)) == [odd, "next"]


def test_files_with_marks_put_together(tmp_path):
    path = written(tmp_path, b"\xef\xbb\xbfone\n\xef\xbb\xbftwo\n")
    assert list(corpus_file.read_documents(path)) == ["one", "two"]


def test_reading_streams(tmp_path):
    path = written(tmp_path, b"first\n\xff\n")
    documents = corpus_file.read_documents(path)
    assert next(documents) == "first"
    with pytest.raises(UserError):
        next(documents)


def test_bytes_that_are_not_utf8_are_named(tmp_path):
    path = written(tmp_path, "eins\n\nzwölf\n".encode("latin1"))
    with pytest.raises(UserError, match=r"c\.txt, line 3: byte 0xf6 is not UTF-8.*CP1252"):
        list(corpus_file.read_documents(path))


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(UserError, match=r"none\.txt: there is no such file"):
        list(corpus_file.read_documents(tmp_path / "none.txt"))
    with pytest.raises(UserError, match="is a folder"):
        list(corpus_file.read_documents(tmp_path))


@pytest.mark.parametrize("raw", [b"", b"\n\r\n  \n\t\n"])
def test_empty_corpus(tmp_path, raw):
    documents = corpus_file.read_documents(written(tmp_path, raw))
    with pytest.raises(UserError, match="mine holds no document"):
        corpus_file.require_documents(documents, "mine")


def test_require_documents_passes_everything_on():
    assert list(corpus_file.require_documents(iter(["a", "b"]), "x")) == ["a", "b"]


@given(st.lists(st.text(max_size=20)), st.integers(1, 50))
def test_chunks_hold_everything_in_order(documents, size):
    chunks = list(corpus_file.in_chunks(documents, size))
    assert [d for chunk in chunks for d in chunk] == documents
    assert all(sum(map(len, chunk[:-1])) < size for chunk in chunks)


def test_what_no_corpus_can_hold_is_left_out_and_counted(tmp_path):
    said = corpus_file.write_corpus(
        ["a\0b", "c\ud83dd"], tmp_path / "out", [], corpus_file.Dropped()
    )
    assert (tmp_path / "out").read_bytes() == b"ab\ncd\n"
    assert "left out of them: 1 NUL character, 1 half of a surrogate pair" in said
    assert list(corpus_file.read_documents(tmp_path / "out")) == ["ab", "cd"]


def test_a_separator_past_the_beginning_is_told(tmp_path, capsys):
    path = tmp_path / "books.txt"
    path.write_text("a line\n" * 20000 + "<|endoftext|>\nb\n" * 2)
    documents = list(corpus_file.read_documents(path))
    assert documents.count("<|endoftext|>") == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert "a line of <|endoftext|> that is taken as text" in told
    assert f"data text {path} --out corpus.txt --separator='<|endoftext|>'" in told
