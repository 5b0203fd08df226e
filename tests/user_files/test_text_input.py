"""Lines of a user's file, what is refused in them, and advice that does no harm."""

import gzip
import json

import pytest
from support.chat_files import CONTAINERS, as_lines, as_table, rows_and_documents

from vidya.errors import UserError
from vidya.text.corpus_file import check_input, read_documents, read_lines
from vidya.user_files import text_input, text_lines


def written(tmp_path, raw):
    (tmp_path / "c d").write_bytes(raw)
    return tmp_path / "c d"


def refusal(path):
    with pytest.raises(UserError) as error:
        list(read_documents(path))
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


@pytest.mark.parametrize(
    ("raw", "advice"),
    [
        ("schöne Grüße aus Köln".encode("cp1252"), "iconv -f CP1252 -t UTF-8 "),
        ("Привет, как дела?".encode("cp1251"), "iconv -f NAME -t UTF-8 "),
        ("こんにちは、元気ですか。".encode("shift_jis"), "iconv -f NAME -t UTF-8 "),
        ("你好，你好吗？".encode("gb18030"), "iconv -f NAME -t UTF-8 "),
        ("schön, schön und ".encode() + b"\xff", "iconv -c -f UTF-8 -t UTF-8 "),
        ("schön\n".encode() + b"und so weiter \xff\xfe", "iconv -c -f UTF-8 -t UTF-8 "),
    ],
)
def test_advice_for_other_encodings(tmp_path, raw, advice):
    path = written(tmp_path, raw)
    message = refusal(path)
    assert "is not UTF-8" in message and advice in message
    assert f"'{path}'" in message  # as a shell must have it


def test_a_nul_is_refused_with_its_line(tmp_path):
    for before in (3, 30_000):  # seen in the first bytes, and later
        message = refusal(written(tmp_path, b"a line\n" * before + b"b\0c\n"))
        assert f"c d, line {before + 1}: a NUL character" in message


def test_control_characters_are_told_once(tmp_path, capsys):
    path = written(tmp_path, b"fine\n" * 9 + b"\x1b[1mred\x1b[0m\n" * 3)
    for _ in range(2):
        assert len(list(read_documents(path))) == 12
    assert capsys.readouterr().err == (
        f"{path}, line 10: control characters in the text, which are taken as it\n"
    )


def test_a_line_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(text_lines, "LONGEST", 1000)
    assert "line 2: longer than 1,000 bytes" in refusal(written(tmp_path, b"a\n" + b"b" * 1000))
    assert list(read_documents(written(tmp_path, b"b" * 998 + b"\na"))) == ["b" * 998, "a"]


ROWS = rows_and_documents("messages", 30)[0]
PAIRS = rows_and_documents("question_answer", 30)[0]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (as_lines(ROWS), "JSONL with conversations (messages): python -m vidya.data chat '"),
        (CONTAINERS["list"](ROWS), "JSON with conversations (messages): python -m vidya.data chat"),
        (CONTAINERS["indented list"](ROWS), "JSON with conversations (messages): "),
        (as_table(PAIRS), "with conversations (Question and Answer): "),
        (b'{"text": "a"}\n' * 5, "JSONL with texts: python -m vidya.data text '"),
        (b"id,text\n1,a b\n", "with texts: python -m vidya.data text '"),
        (b'{"body": "a", "n": 1}\n' * 5, "JSONL with body, n: python -m vidya.data text '"),
        (CONTAINERS["parquet"](ROWS), "is parquet: python -m vidya.data chat '"),
        (b"PK\3\4", "is a zip archive: unpack it (python -m zipfile -e '"),
        (b"%PDF-1.4", "is a PDF: save it as plain text"),
        (b"\x89PNG\r\n\x1a\n", "is a picture: name a plain text file"),
        (b"VIDYATOK\1\0", "is a token cache of a run folder and no text"),
    ],
    ids=lambda value: value if isinstance(value, str) else "of",
)
def test_what_is_no_text_is_refused_with_what_helps(tmp_path, raw, words):
    path = written(tmp_path, raw)
    assert words.lower() in refusal(path).lower()
    with pytest.raises(UserError):
        check_input(path)


def test_tables_where_they_are_asked_for(tmp_path):
    path = written(tmp_path, as_table(PAIRS, "\t"))
    check_input(path, tables=True)
    assert next(iter(read_lines(path, tables=True))) == "Question\tAnswer"
    with pytest.raises(UserError):
        check_input(written(tmp_path, json.dumps(ROWS).encode()), tables=True)


@pytest.mark.parametrize("text", ["a b\r\nc\n", "a\rb\rc", "", '{"a": 1}\n', "\ufeffa"])
def test_bytes_as_text(text, capsys):
    assert text_input.text_of(text.encode(), "it") == text
    assert not capsys.readouterr().err
    assert text_input.text_of(gzip.compress(("a b\n" + text).encode("utf-16")), "it").endswith(text)
    with pytest.raises(UserError, match="it is not UTF-8 at byte 2"):
        text_input.text_of(b"a \xff\xff", "it")
