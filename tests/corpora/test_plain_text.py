"""A book as documents."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chat_files import CONTAINERS, as_lines, as_table

from vidya.corpora.plain_text import TextLayout, text_documents
from vidya.errors import UserError
from vidya.text import corpus_file
from vidya.text.corpus_file import Dropped

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


# ---------------------------------------------------------------- other layouts


def documents(path, raw, **layout):
    path.write_bytes(raw)
    return list(TextLayout(**layout).documents(path, Dropped()))


def test_encodings(book):
    raw = "Привет\nмир\n".encode("cp1251")
    assert documents(book, raw, encoding="cp1251") == ["Привет", "мир"]
    assert documents(book, raw, encoding="cp1251", by="file") == ["Привет мир"]
    for encoding in ("utf-16", "utf-16-le"):
        assert documents(book, "мир\nи мир".encode("utf-16-le"), encoding=encoding) == [
            "мир",
            "и мир",
        ]
    with pytest.raises(UserError, match="there is no encoding cp9"):
        documents(book, raw, encoding="cp9")
    with pytest.raises(UserError, match="is not gb18030 past line 1"):
        documents(book, raw + b"\xff\xff", encoding="gb18030")


def test_separators(book):
    assert documents(book, b"a\nb\n---\nc\n", separator="---") == ["a↵b", "c"]


ROWS = [{"id": number, "text": f"story {number}\nends", "title": "t"} for number in range(50)]
STORIES = [f"story {number}↵ends" for number in range(50)]


@pytest.mark.parametrize(
    "container", ["list", "wrapped", "gzip", "zstd", "parquet", "arrow", "indented objects"]
)
def test_texts_in_rows(book, container):
    assert documents(book, CONTAINERS[container](ROWS)) == STORIES
    assert documents(book, CONTAINERS[container](ROWS), column="title") == ["t"] * 50


def test_texts_in_tables(book):
    assert documents(book, as_table(ROWS)) == STORIES
    with pytest.raises(UserError, match="no column 'body', but 'id', 'text', 'title'"):
        documents(book, as_table(ROWS), column="body")
    with pytest.raises(UserError, match="has no columns"):
        documents(book, b"just text\n", column="body")
    with pytest.raises(UserError, match=r"vidya\.data chat"):
        documents(book, as_lines([{"messages": [{"role": "user", "content": "a"}]}] * 3))


@pytest.mark.parametrize(
    "raw",
    [
        as_lines(ROWS), CONTAINERS["indented list"](ROWS), as_table([{"text": "a b", "id": 1}] * 9),
        b"a\n<|endoftext|>\nb\n",
    ],
)  # fmt: skip
def test_as_is_stays_as_it_is(book, raw):
    found = documents(book, raw, as_is=True)
    lines = [line for line in raw.decode().splitlines() if line.strip()]
    assert [line.removeprefix(" ") for line in found] == [line.removeprefix(" ") for line in lines]
    # and is text for whoever reads it next, or replaces it
    assert documents(book, "".join(f"{line}\n" for line in found).encode()) == found
    corpus_file.prepare_output(book)


@pytest.mark.parametrize(
    "layout", [{"by": "file", "separator": "---"}, {"by": "line", "column": "a"}]
)
def test_layouts_that_contradict_each_other(layout):
    with pytest.raises(UserError, match="say what a document is: give one of them"):
        TextLayout(**layout).check()


def test_numbers_and_separators_are_checked():
    with pytest.raises(UserError, match="at least 1 character"):
        TextLayout(by="passage", characters=0).check()
    with pytest.raises(UserError, match="cannot separate"):
        TextLayout(separator="").check()


def test_tokenised_text_is_written_as_people_do(book, capfd):
    raw = b"Hi , you .\n\nWell , no .\n"
    assert documents(book, raw) == ["Hi, you.", "Well, no."]
    assert "2 documents written as people write them (--as-is keeps them)" in capfd.readouterr().err
    assert documents(book, raw, by="file") == ["Hi, you.↵↵Well, no."]
    assert documents(book, raw, as_is=True) == ["Hi , you .", "Well , no ."]
    assert documents(book, raw, by="file", as_is=True) == ["Hi , you .↵↵Well , no ."]
