import io
import json
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidya.errors import UserError
from vidya.text import (
    chitchat,
    conversation_format,
    corpus_file,
    corpus_summary,
    dailydialog,
    held_out_split,
)

lines = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n\ufeff")))
texts = st.text(st.characters(codec="utf-8"))


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


# ---------------------------------------------------------------- reading


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


def test_reading_streams(tmp_path):
    path = written(tmp_path, b"first\n\xff\n")
    documents = corpus_file.read_documents(path)
    assert next(documents) == "first"
    with pytest.raises(UserError):
        next(documents)


def test_bytes_that_are_not_utf8_are_named(tmp_path):
    path = written(tmp_path, "eins\n\nzwölf\n".encode("latin1"))
    with pytest.raises(UserError, match=r"c\.txt, line 3: byte 0xf6 is not UTF-8.*iconv"):
        list(corpus_file.read_documents(path))


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(UserError, match=r"none\.txt: No such file"):
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


# ---------------------------------------------------------------- conversations


def test_conversation():
    assert conversation_format.conversation([" Hi \n there", "Hello", "ok"]) == (
        "<|user|> Hi there <|assistant|> Hello <|user|> ok"
    )


@given(st.lists(texts, min_size=2, max_size=5))
def test_text_of_a_turn_is_never_a_marker(turns):
    turns = [f"{turn}<|user|>{turn}<|bos|><<|assistant|>" for turn in turns]
    document = conversation_format.conversation(turns)
    assert document.count(conversation_format.USER) == (len(turns) + 1) // 2
    assert document.count(conversation_format.ASSISTANT) == len(turns) // 2
    assert conversation_format.BOS not in document
    assert document.count("< |bos|>") >= len(turns)
    assert "\n" not in document


def test_half_a_surrogate_pair_becomes_writable():
    assert conversation_format.conversation(["a\ud800b", "c"]) == "<|user|> a?b <|assistant|> c"


# ---------------------------------------------------------------- chitchat


def message(sender: str, text: str) -> dict[str, str]:
    return {"sender": sender, "text": text, "timestamp": ""}


@pytest.fixture
def use_chitchat(monkeypatch):
    def use(conversations: dict[str, list[list[dict[str, str]]]]) -> tuple[list[str], Counter]:
        data = {key: {"prompt": "", "messages": m} for key, m in conversations.items()}
        monkeypatch.setattr(chitchat, "_load_chitchat", lambda: data)
        dropped: Counter[str] = Counter()
        return list(chitchat.chitchat_documents(dropped)), dropped

    return use


def test_chitchat_joins_turns_and_sorts_by_id(use_chitchat):
    documents, dropped = use_chitchat(
        {
            "b": [[message("x", "one"), message("x", " two\n")], [message("y", "three")]],
            "a": [[message("p", "A"), message("q", "B")], [message("q", "C")], [message("p", "D")]],
        }
    )
    assert documents == [
        "<|user|> A <|assistant|> B C <|user|> D",
        "<|user|> one two <|assistant|> three",
    ]
    assert not dropped


def test_chitchat_drops_one_sided_conversations(use_chitchat):
    documents, dropped = use_chitchat(
        {
            "a": [[message("x", "anyone?")], [message("x", "no one")]],
            "b": [[message("x", "hi")], [message("y", "  ")], [message("x", "hello?")]],
            "c": [],
        }
    )
    assert documents == []
    assert dropped == {"one-sided": 3}


def test_chitchat_of_the_package():
    dropped: Counter[str] = Counter()
    documents = list(chitchat.chitchat_documents(dropped))
    assert len(documents) + sum(dropped.values()) == 7168
    assert len(documents) > 3900
    assert all(d.startswith("<|user|> ") and " <|assistant|> " in d for d in documents)
    assert documents == list(chitchat.chitchat_documents())


def test_chitchat_not_installed(monkeypatch):
    monkeypatch.setattr(chitchat.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install chitchat-dataset"):
        next(chitchat.chitchat_documents())


# ---------------------------------------------------------------- DailyDialog

DIALOGUES = (
    b"Hi , you . __eou__ Hello . __eou__ Bye . __eou__\n\nAlone . __eou__\nA __eou__ B __eou__\n"
)
CONVERTED = [
    "<|user|> Hi , you . <|assistant|> Hello . <|user|> Bye .",
    "<|user|> A <|assistant|> B",
]


def test_dailydialog_text(tmp_path):
    dropped: Counter[str] = Counter()
    path = written(tmp_path, DIALOGUES)
    assert list(dailydialog.dailydialog_documents(path, dropped)) == CONVERTED
    assert dropped == {"fewer than two turns": 1}


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


# ---------------------------------------------------------------- whole corpora


def test_hash_is_of_content_and_order():
    assert corpus_summary.corpus_hash(["ab"]) == corpus_summary.corpus_hash(iter(["ab"]))
    different = [["ab"], ["a", "b"], ["b", "a"], ["ab", ""], []]
    assert len({corpus_summary.corpus_hash(documents) for documents in different}) == len(different)


def test_summary():
    summary = corpus_summary.summarize(["ä", "bc"])
    assert (summary.documents, summary.bytes) == (2, 4)
    assert summary.hash == corpus_summary.corpus_hash(["ä", "bc"])


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=2)))
def test_deduplicate(documents):
    dropped: Counter[str] = Counter()
    kept = list(conversation_format.deduplicate(documents, dropped))
    assert kept == list(dict.fromkeys(documents))
    assert dropped["duplicate"] == len(documents) - len(kept)


# ---------------------------------------------------------------- validation split


def test_split_never_moves():
    # Written down: another hash would move documents of trained models between splits.
    held_out = [i for i in range(100) if held_out_split.is_held_out(f"document {i}", 0.05)]
    assert held_out == [17, 18, 20, 24, 40, 44, 54, 84, 92, 98]


@given(texts, st.floats(0, 0.99), st.floats(0, 0.99))
def test_split_grows_with_the_fraction(document, a, b):
    low, high = sorted((a, b))
    assert held_out_split.is_held_out(document, low) <= held_out_split.is_held_out(document, high)
    assert not held_out_split.is_held_out(document, 0)


def test_split_holds_about_the_fraction():
    documents = [f"document {i}" for i in range(20_000)]
    held_out = list(held_out_split.held_out_split(documents, 0.1))
    assert 0.09 < len(held_out) / len(documents) < 0.11
    training = list(held_out_split.training_split(documents, 0.1))
    assert sorted(held_out + training) == sorted(documents)
    assert not set(held_out) & set(training)


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 2.0, float("nan")])
def test_bad_fraction(fraction):
    with pytest.raises(UserError, match="fraction"):
        held_out_split.is_held_out("x", fraction)


def test_chitchat_data_that_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "dataset.json").write_text(json.dumps({})[:-1])
    spec = type("Spec", (), {"origin": str(tmp_path / "__init__.py")})
    monkeypatch.setattr(chitchat.importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(UserError, match="force-reinstall"):
        next(chitchat.chitchat_documents())
