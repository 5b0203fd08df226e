import gzip
import io
import json
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from support.chat_files import CONTAINERS, as_table

from vidya.corpora import dailydialog
from vidya.errors import UserError


def written(tmp_path: Path, raw: bytes, name: str = "c.txt") -> Path:
    path = tmp_path / name
    path.write_bytes(raw)
    return path


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


DIALOGUES = (
    b"Hi , you . __eou__ Hello . __eou__ Bye . __eou__\n\nAlone . __eou__\nA __eou__ B __eou__\n"
)
CONVERTED = [
    "<|user|> Hi, you. <|assistant|> Hello. <|user|> Bye.",
    "<|user|> A <|assistant|> B",
]


def test_dailydialog_text(tmp_path):
    dropped: Counter[str] = Counter()
    path = written(tmp_path, DIALOGUES)
    assert list(dailydialog.dailydialog_documents(path, dropped)) == CONVERTED
    assert dropped == {"fewer than two turns": 1}


def test_dailydialog_as_it_is(tmp_path):
    path = written(tmp_path, DIALOGUES)
    first, _ = dailydialog.dailydialog_documents(path, as_is=True)
    assert first == "<|user|> Hi , you . <|assistant|> Hello . <|user|> Bye ."


def test_dailydialog_zip_in_a_zip(tmp_path):
    inner = zipped(
        {
            "train/dialogues_train.txt": DIALOGUES,
            "train/dialogues_act_train.txt": b"1 2 3\n",
            "train/dialogues_emotion_train.txt": b"0 0 0\n",
            "__MACOSX/train/._dialogues_train.txt": b"\xff\xfe",
        }
    )
    outer = zipped(
        {
            "ijcnlp/train.zip": inner,
            "ijcnlp/validation.zip": zipped({"dialogues_validation.txt": b"x __eou__ y __eou__"}),
            "ijcnlp/dialogues_text.txt": DIALOGUES + b"never __eou__ read __eou__\n",
            "ijcnlp/dialogues_topic.txt": b"1\n",
            "ijcnlp/readme.txt": b"Read me",
        }
    )
    path = written(tmp_path, outer, "dd.zip")
    expected = [*CONVERTED, "<|user|> x <|assistant|> y"]
    assert list(dailydialog.dailydialog_documents(path)) == expected


def test_dailydialog_zip_with_the_whole_text_alone(tmp_path):
    path = written(tmp_path, zipped({"d/dialogues_text.txt": DIALOGUES}), "dd.zip")
    assert list(dailydialog.dailydialog_documents(path)) == CONVERTED


def test_what_is_not_dailydialog(tmp_path):
    with pytest.raises(UserError, match="no __eou__ in it"):
        list(dailydialog.dailydialog_documents(written(tmp_path, b"just text\n")))
    with pytest.raises(UserError, match=r"holds no dialogues_\*.txt"):
        list(dailydialog.dailydialog_documents(written(tmp_path, zipped({"a.txt": b"x"}))))


def test_damaged_zip(tmp_path):
    raw = bytearray(zipped({"dialogues_train.txt": DIALOGUES * 100}))
    raw[80:90] = bytes(10)
    with pytest.raises(UserError, match=r"cannot unpack .*c\.txt"):
        list(dailydialog.dailydialog_documents(written(tmp_path, bytes(raw))))


def test_non_utf8_member_is_named(tmp_path):
    path = written(tmp_path, zipped({"dialogues_x.txt": b"a __eou__ b\n\xff"}), "dd.zip")
    with pytest.raises(UserError, match=r"dd\.zip/dialogues_x\.txt, line 2"):
        list(dailydialog.dailydialog_documents(path))


# ---------------------------------------------------------------- tables


TURNS = [["Say , 'Jim' , beer ?", "It's tempting .", 'He said " no " .'], ["A", "B"], ["Alone"]]
EXPECTED = [
    "<|user|> Say, 'Jim', beer? <|assistant|> It's tempting. <|user|> He said \"no\".",
    "<|user|> A <|assistant|> B",
]


def of_numpy(turns):
    return "[" + "\n ".join(map(repr, turns)) + "]"


@pytest.mark.parametrize("column", ["dialog", "utterances"])
@pytest.mark.parametrize("as_text", [str, json.dumps, of_numpy])
def test_a_table(tmp_path, column, as_text):
    rows = [{column: as_text(turns), "act": "[1 2]"} for turns in TURNS]
    dropped: Counter[str] = Counter()
    path = written(tmp_path, as_table(rows))
    assert list(dailydialog.dailydialog_documents(path, dropped)) == EXPECTED
    assert dropped == {"fewer than two turns": 1}


@pytest.mark.parametrize("container", ["parquet", "list", "gzip"])
def test_rows(tmp_path, container):
    rows = [{"dialog": turns, "act": [1]} for turns in [*TURNS, None]]
    dropped: Counter[str] = Counter()
    path = written(tmp_path, CONTAINERS[container](rows))
    assert list(dailydialog.dailydialog_documents(path, dropped)) == EXPECTED
    assert dropped == {"fewer than two turns": 1, "without a list of utterances": 1}


def test_other_rows_and_packed_text(tmp_path):
    path = written(tmp_path, CONTAINERS["list"]([{"text": "x"}] * 5))
    with pytest.raises(UserError, match="no lists of texts in dialog, dialogue"):
        list(dailydialog.dailydialog_documents(path))
    path = written(tmp_path, gzip.compress(DIALOGUES))
    assert list(dailydialog.dailydialog_documents(path)) == CONVERTED
