"""A book as documents."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidya.errors import UserError
from vidya.text.plain_text import text_documents

BOOK = (
    "CHAPTER 1\n\nIt was a dark\nand stormy night.\n \n\n  It rained.\r\n\r\nAt last\tit stopped.\n"
)
PARAGRAPHS = ["CHAPTER 1", "It was a dark and stormy night.", "It rained.", "At last it stopped."]


@pytest.fixture
def book(tmp_path):
    (tmp_path / "book.txt").write_bytes(BOOK.encode())
    return tmp_path / "book.txt"


def test_lines(book):
    assert list(text_documents(book))[1] == "It was a dark"


def test_paragraphs(book):
    assert list(text_documents(book, "paragraph")) == PARAGRAPHS


def test_passages(book):
    assert list(text_documents(book, "passage", 12)) == [
        "CHAPTER 1↵↵It was a dark and stormy night.", "It rained.↵↵At last it stopped."
    ]  # fmt: skip


def test_a_file(book):
    assert list(text_documents(book, "file", 1)) == ["↵↵".join(PARAGRAPHS)]


@given(st.lists(st.text("ab \n", max_size=20)), st.integers(1, 30))
def test_no_word_is_lost(tmp_path_factory, parts, characters):
    path = tmp_path_factory.mktemp("b") / "b.txt"
    path.write_text("\n\n".join(parts))
    words = path.read_text().split()
    for by in ("line", "paragraph", "passage", "file"):
        documents = list(text_documents(path, by, characters))
        assert [w for d in documents for w in d.replace("↵", " ").split()] == words
        assert all(d.strip() and "\n" not in d for d in documents)


def test_errors(book, tmp_path):
    with pytest.raises(UserError, match="at least 1 character"):
        text_documents(book, "passage", 0)
    book.write_bytes(b"a\n\n\xff")
    with pytest.raises(UserError, match=r"book\.txt, line 3"):
        list(text_documents(book, "file"))
