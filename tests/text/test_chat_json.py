"""Lists of messages as documents: turns, files of both kinds, and what is refused."""

import gzip
import itertools
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chat_runs import stream_text
from support.commands import run_command_process

from vidya.errors import UserError
from vidya.generation.chat_tokens import chat_prompt
from vidya.text import conversation_format, corpus_file
from vidya.text.chat_json import ultrachat_documents, usable_turns
from vidya.text.conversation_format import ASSISTANT, LINE_BREAK, USER
from vidya.text.corpus_file import Dropped
from vidya.text.tokenizer_training import train_tokenizer

texts = st.text(st.characters(codec="utf-8"))
messages = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": texts})
)


def said(*turns: str, first: str = "user") -> list[dict[str, str]]:
    roles = itertools.cycle(["user", "assistant"] if first == "user" else ["assistant", "user"])
    return [{"role": role, "content": turn} for role, turn in zip(roles, turns, strict=False)]


def jsonl(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def converted(path):
    dropped, left_out = Dropped(), Dropped()
    documents = list(ultrachat_documents(path, dropped, left_out))
    return documents, +dropped, +left_out


# ---------------------------------------------------------------- lines in a turn


def test_lines_of_a_turn_stay():
    text = "Two things:\n\n1. one  thing\r\n   - with more\n\n\n\n2. two\n\tcode()\n"
    assert conversation_format.on_one_line(text) == (
        "Two things:↵↵1. one thing↵   - with more↵↵2. two↵    code()"
    )


@given(texts)
def test_what_is_on_one_line_can_be_read_as_it_was(text):
    line = conversation_format.on_one_line(text)
    assert len(line.splitlines()) <= 1 and line == line.strip()
    back = line.replace(LINE_BREAK, "\n")
    # The words, in their lines and paragraphs.
    expected = [line.split() for line in text.replace("↵", "⏎").splitlines()]
    while expected and not expected[0]:
        expected.pop(0)
    while expected and not expected[-1]:
        expected.pop()
    assert [line.split() for line in back.split("\n") if line] == [w for w in expected if w]
    empty = [key for key, _ in itertools.groupby(not words for words in expected)]
    assert [key for key, _ in itertools.groupby(not line for line in back.split("\n"))] == (
        empty or [True]
    )
    assert conversation_format.on_one_line(back) == line


def test_a_long_conversation_is_a_document_of_one_line():
    document = conversation_format.long_conversation(["a\nb", "c <|user|> d\n\ne\ud800"])
    assert document == "<|user|> a↵b <|assistant|> c < |user|> d↵↵e?"


# ---------------------------------------------------------------- turns


@given(messages)
def test_turns_alternate_and_nothing_said_is_lost(conversation):
    left_out = Dropped()
    spoken = [m for m in conversation if m["content"].strip()]
    while spoken and spoken[0]["role"] == "assistant":
        spoken.pop(0)
    try:
        turns = usable_turns(conversation, left_out)
    except ValueError as error:
        assert str(error) == "without a reply to the user"
        assert not {"user", "assistant"} <= {m["role"] for m in spoken}
        return
    assert "\n\n".join(turns) == "\n\n".join(m["content"] for m in spoken)
    assert len(turns) == len(list(itertools.groupby(m["role"] for m in spoken))) >= 2
    assert left_out.total() == len(conversation) - len(spoken)


def test_neighbours_of_one_role_are_one_turn():
    both = [*said("a"), *said("b", "c"), {"role": "assistant", "content": "d"}]
    assert usable_turns(both, Dropped()) == ["a\n\nb", "c\n\nd"]


def test_what_is_left_out_is_counted():
    left_out = Dropped()
    system = {"role": "system", "content": "be nice"}
    turns = usable_turns([system, *said("hello", " \n", "yes", first="assistant"), *said("q", "r")],
                         left_out)  # fmt: skip
    assert turns == ["q", "r"]
    assert +left_out == {
        "system message": 1,
        "empty message": 1,
        "message before the user's first": 2,
    }


@pytest.mark.parametrize(
    ("conversation", "reason"),
    [
        (None, "without a list of messages"),
        ("text", "without a list of messages"),
        ([], "without a reply to the user"),
        (said("only"), "without a reply to the user"),
        (said("only", first="assistant"), "without a reply to the user"),
        (["text"], "with a message that is no object"),
        ([{"role": "user"}], "with a message without role and content as text"),
        ([{"role": "user", "content": 3}], "with a message without role and content as text"),
        ([*said("a", "b"), {"role": "tool", "content": "x"}], "with an unknown role"),
        ([*said("a", "b"), {"role": "system", "content": "x"}], "with an unknown role"),
    ],
)
def test_conversations_that_cannot_be_used(tmp_path, conversation, reason):
    path = jsonl(tmp_path / "c.jsonl", {"messages": conversation}, {"messages": said("a", "b")})
    documents, dropped, left_out = converted(path)
    assert documents == ["<|user|> a <|assistant|> b"]
    assert dropped == {reason: 1} and not left_out


# ---------------------------------------------------------------- files


CONVERSATIONS = [said(f"question {i}\nmore", f"answer {i}", "why?") for i in range(700)]
DOCUMENTS = [
    f"{USER} question {i}↵more {ASSISTANT} answer {i} {USER} why?" for i in range(700)
]  # fmt: skip


def parquet(path, table, **options):
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table(table), path, **options)
    return path


def test_jsonl_plain_and_packed(tmp_path):
    path = jsonl(tmp_path / "c", *({"prompt": "x", "messages": c} for c in CONVERSATIONS))
    assert converted(path) == (DOCUMENTS, {}, {})
    (tmp_path / "d").write_bytes(gzip.compress(path.read_bytes()))
    assert converted(tmp_path / "d") == (DOCUMENTS, {}, {})
    path.write_bytes(corpus_file.BOM + b"\n" + path.read_bytes())
    assert converted(path)[0] == DOCUMENTS


def test_parquet(tmp_path):
    table = {"prompt": ["x"] * 700, "messages": CONVERSATIONS}
    path = parquet(tmp_path / "c", table, row_group_size=300)
    assert converted(path) == (DOCUMENTS, {}, {})


def test_nulls_in_parquet_are_dropped(tmp_path):
    rows = [None, [None], [{"role": "user", "content": None}], said("a", "b")]
    documents, dropped, _ = converted(parquet(tmp_path / "c", {"messages": rows}))
    assert documents == ["<|user|> a <|assistant|> b"] and dropped.total() == 3


def refusal(path) -> str:
    with pytest.raises(UserError) as error:
        list(ultrachat_documents(path))
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def test_parquet_of_another_kind(tmp_path):
    message = refusal(parquet(tmp_path / "a", {"text": ["x"], "id": [1]}))
    assert "a has no column messages, but text, id" in message
    assert "must be a list of structs" in refusal(parquet(tmp_path / "b", {"messages": ["x"]}))
    table = {"messages": [[{"from": "user", "value": "x"}]]}
    assert "must be a list of structs" in refusal(parquet(tmp_path / "c", table))
    table = {"messages": [[{"role": 1, "content": "x"}]]}
    assert "must be a list of structs" in refusal(parquet(tmp_path / "d", table))


def test_damaged_parquet(tmp_path):
    path = parquet(tmp_path / "c", {"messages": CONVERSATIONS})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert f"cannot read {path} (" in refusal(path)


def test_no_pyarrow(tmp_path, monkeypatch):
    (tmp_path / "c.parquet").write_bytes(b"PAR1 and so on")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    message = refusal(tmp_path / "c.parquet")
    assert message.endswith("is parquet, which needs: python -m pip install pyarrow")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{", "line 2: not JSON"),
        (b'{"messages": "\xff"}', "line 2: not UTF-8"),
        (b"[" * 100_000, "line 2: not JSON"),
        (b"[1, 2]", "line 2: no JSON object with messages"),
        (b'{"data": [], "id": 1}', "it has 'data', 'id'"),
    ],
)
def test_lines_that_are_no_conversations(tmp_path, line, words):
    path = jsonl(tmp_path / "c.jsonl", {"messages": said("a", "b")})
    path.write_bytes(path.read_bytes() + line + b"\n")
    assert f"{path}, " in refusal(path) and words in refusal(path)


def test_packed_files_that_cannot_be_read(tmp_path):
    packed = gzip.compress(b'{"messages": []}\n' * 1000)
    (tmp_path / "cut").write_bytes(packed[: len(packed) // 2])
    (tmp_path / "bad").write_bytes(packed[:20] + b"\xff" * 20)
    (tmp_path / "z").write_bytes(b"\x28\xb5\x2f\xfd....")
    assert "cannot unpack" in refusal(tmp_path / "cut")
    assert "cannot unpack" in refusal(tmp_path / "bad")
    assert "zstd -d" in refusal(tmp_path / "z")


# ---------------------------------------------------------------- the command


def run(*arguments):
    return run_command_process("data", "ultrachat", *arguments)


def test_the_command(tmp_path):
    system = {"role": "system", "content": "x"}
    rows = [said("a", "b\nc"), [system, *said("d", "e", "")], said("alone"), 3]
    path, out = jsonl(tmp_path / "c", *({"messages": row} for row in rows)), tmp_path / "o.txt"
    done = run(path, path, "--out", out)
    assert done.returncode == 0, done.stderr
    assert lines(out) == ["<|user|> a <|assistant|> b↵c", "<|user|> d <|assistant|> e"] * 2
    assert done.stdout == (
        f"{out}: 4 documents, {out.stat().st_size} bytes; dropped: 2 without a list of messages, "
        "2 without a reply to the user; left out of them: 2 empty message, 2 system message\n"
    )


def lines(path):
    return list(corpus_file.read_documents(path))


def test_an_error_leaves_the_old_output(tmp_path):
    path, out = jsonl(tmp_path / "c", {"messages": said("a", "b")}, []), tmp_path / "o.txt"
    out.write_text("old\n")
    done = run(path, "--out", out)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {path}, line 2: no JSON object")
    path = jsonl(tmp_path / "c", {"messages": said("a")})
    done = run(path, "--out", out)
    assert done.returncode == 2 and "(1 without a reply to the user dropped)" in done.stderr
    assert out.read_text() == "old\n"


# ---------------------------------------------------------------- and back


def test_lines_come_back_in_a_chat():
    documents = [f"<|user|> list {i}↵please <|assistant|> 1. a↵2. b↵↵done" for i in range(40)]
    tokenizer = train_tokenizer(documents, 30)
    ids = tokenizer.encode_text(" 1. a↵2. b↵↵done↵ ")
    pieces = list(stream_text(tokenizer, ids))
    assert "".join(pieces) == "1. a\n2. b\n\ndone"
    prompt = chat_prompt(tokenizer, ["list 1\nplease", "1. a\n2. b", "and  more"], 200)
    assert tokenizer.decode(prompt) == (
        "<|bos|><|user|> list 1↵please <|assistant|> 1. a↵2. b <|user|> and more <|assistant|>"
    )
    # Where the corpus had no line breaks, the model does not know them.
    other = train_tokenizer(["<|user|> a b <|assistant|> c d"] * 3, 5)
    assert "a b <" in other.decode(chat_prompt(other, ["a\nb"], 200))
