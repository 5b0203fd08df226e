"""What a file is, by its first bytes; and that ordinary text is never taken for more."""

import bz2
import gzip
import io
import json
import os
import pickle
import sqlite3
import tarfile
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chat_files import CONTAINERS, as_lines, as_table, rows_and_documents, zstd

from vidya.user_files.file_kind import HEAD, FileKind, kind_of

TEXT = "".join(f"Zeile {number}: schön, said the fox.\n" for number in range(3000))
ROWS, _ = rows_and_documents("messages", 30)
PAIRS, _ = rows_and_documents("question_answer", 30)
NOISE = bytes(np.random.Generator(np.random.Philox(key=1)).integers(0, 256, 3000, np.uint8))


def zipped(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return file.getvalue()


def tarred():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"))
    return file.getvalue()


def saved_array():
    file = io.BytesIO()
    np.save(file, np.zeros(9))
    return file.getvalue()


def safetensors(metadata):
    header = json.dumps({"__metadata__": metadata}, separators=(",", ":")).encode()
    return len(header).to_bytes(8, "little") + header


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"", "TEXT"), (TEXT.encode(), "TEXT"), (b"\xef\xbb\xbf" + TEXT.encode(), "TEXT"),
        (TEXT.encode("cp1252"), "TEXT"), (b"\x1b[1mhi\x1b[0m\n" * 90, "TEXT"),
        (b"a\rb\rc", "MAC_LINES"), (TEXT.encode("utf-16"), "UTF16"),
        (TEXT.encode("utf-16-le"), "UTF16_LE"), (TEXT.encode("utf-16-be"), "UTF16_BE"),
        ("今天 天气很好。\n".encode("utf-16-le") * 50, "UTF16_LE"),
        ("Привет, мир\n".encode("utf-16-be") * 50, "UTF16_BE"), ("hi".encode("utf-16"), "UTF16"),
        (TEXT.encode("utf-32"), "UTF32"), (TEXT.encode("utf-32-le"), "UTF32_LE"),
        (TEXT.encode("utf-32-be"), "UTF32_BE"),
        (gzip.compress(b"x"), "GZIP"), (zstd(b"x"), "ZSTD"), (bz2.compress(b"x"), "BZIP2"),
        (b"\xfd7zXZ\0\0", "XZ"), (CONTAINERS["parquet"](ROWS), "PARQUET"),
        (CONTAINERS["arrow"](ROWS), "ARROW"), (CONTAINERS["arrow stream"](ROWS), "ARROW_STREAM"),
        (zipped("a.txt"), "ZIP"), (zipped("[Content_Types].xml"), "DOCUMENT"),
        (zipped("archive/data.pkl"), "PYTORCH"), (tarred(), "TAR"),
        (b"7z\xbc\xaf\x27\x1c", "SEVEN_ZIP"),
        (b"Rar!\x1a\x07\0", "RAR"), (b"%PDF-1.7", "PDF"), (b"{\\rtf1 x}", "RTF"),
        (b"\x89PNG\r\n\x1a\n", "PICTURE"), (b"\xff\xd8\xff\xe0", "PICTURE"),
        (b"BM\0\0\0\0", "PICTURE"),
        (b"RIFF\0\0\0\0WAVEfmt ", "SOUND"), (b"\0\0\0\x20ftypisom", "SOUND"),
        (saved_array(), "NUMPY"), (pickle.dumps(list(range(99))), "PICKLE"),
        (safetensors({"vidya": "{}", "format": "vidya-2"}), "CHECKPOINT"),
        (safetensors({"format": "pt"}), "SAFETENSORS"), (b"VIDYATOK\1", "TOKEN_CACHE"),
        (b'{"version": "1.0", "added_tokens": [', "TOKENIZER"),
        (b'{"kind": "run", "config": {}}\n{"step": 1}\n', "METRICS"),
        (b'{"journal": 2, "base": {}}\n{"lesson": 0}\n', "LESSONS"),
        (b"version https://git-lfs.github.com/spec/v1\noid x\n", "LFS_POINTER"),
        (b"\x7fELF\2", "PROGRAM"), (NOISE, "BINARY"), (b"\0" * 100, "BINARY"),
        (as_lines(ROWS), "JSON_LINES"), (b"\n" + as_lines(ROWS), "JSON_LINES"),
        (b"{torn\n" + as_lines(ROWS), "JSON_LINES"), (CONTAINERS["list"](ROWS), "JSON"),
        (CONTAINERS["indented list"](ROWS), "JSON"), (CONTAINERS["wrapped"](ROWS), "JSON"),
        (CONTAINERS["indented objects"](ROWS), "JSON"), (b'{"text": "%s' % (b"x" * HEAD), "JSON"),
        (b'["one text",\n"another"]', "JSON"),
        (as_table(PAIRS), "TABLE"), (as_table(PAIRS, "\t"), "TABLE"),
        (b"id,text\n1,a b\n", "TABLE"), (b"sep=;\nid;text\n1;a b\n", "TABLE"),
        (b"question , answer \na,b\n", "TABLE"),
        # cut in its last row, with notes between rows, and as Python prints it
        (b'{"text": "a"}\n{"text": "b', "JSON_LINES"),
        (b'// mine\n{"text": "a"}\n# more\n{"text": "b"}\n', "JSON_LINES"),
        (b"{'text': 'it\\'s'}\n{'text': None}\n", "JSON_LINES"),
    ],
    ids=lambda value: value if isinstance(value, str) else "of",
)  # fmt: skip
def test_kinds(raw, kind):
    assert kind_of(raw[:HEAD]) is FileKind[kind]


def test_a_database(tmp_path):
    connection = sqlite3.connect(tmp_path / "x")
    connection.execute("create table t (x)")
    connection.close()
    assert kind_of((tmp_path / "x").read_bytes()) is FileKind.SQLITE


@pytest.mark.parametrize(
    "text",
    [
        "[Scene 1] Enter Hamlet\nWords\n" * 50,
        '["Stop", he said.\nAnd he stopped.\n',
        "{a note}\n[\n{\nwords and words\n",
        'Some JSON:\n{"a": 1}\nand the rest\nis text.\n',
        '{"a": 1} begins this text\nwhich goes on.\n',
        '{"a": 1}\nThe line above is JSON.\nThis one is not.\n',
        '{"Hello": he said.\nAnd left.\n',
        "[1] A footnote\n[2] Another\n",
        "[1, 2]\n[3, 4]\n",
        " {\"a\": 1}\n {\"b\": 2}\n",
        "question, answer\nA play in one act, or two\nNo commas here\nNone\n",
        "The prompt, the response, and the rest\nof the story\n",
        "text\nis a word\n",
        "{}\n[]\n", "{'tis true\n{'twas so\n", '"a"\n"b"\n', "# a\n# b\n// c\n",
        "BM is a word, and MZ, PAR1 not.\n", "BZhou went home.\n", "PAR1 is no parquet\n",
        "GIF89a is a format of pictures.\n", "GGUF is another\n", "RIFFRAFF, all of them\n",
    ],
)  # fmt: skip
def test_ordinary_text(text):
    assert kind_of(text.encode()) is FileKind.TEXT


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1))
def test_text_of_any_language_is_text(text):
    kind = kind_of(("x " + text).encode())
    assert kind is FileKind.TEXT


@given(st.binary(max_size=200))
def test_any_bytes_are_of_some_kind(raw):
    assert kind_of(raw) in FileKind
    assert kind_of(os.fsencode("a.txt") + raw) in FileKind
