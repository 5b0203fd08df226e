"""Files of conversations as documents: every layout, every kind of file, and what is refused."""

import gzip
import io
import itertools
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chat_files import (
    CONTAINERS,
    LAYOUTS,
    as_lines,
    as_table,
    chatml,
    conversation,
    document,
    labelled,
    llama3,
    messages,
    rows_and_documents,
    sharegpt,
    zstd,
)
from support.chat_runs import stream_text
from support.commands import run_command_process

from vidya.corpora.bad_rows import MostBad
from vidya.corpora.chat_file import ChatReader, convert_chat
from vidya.errors import UserError
from vidya.generation.chat_tokens import chat_prompt
from vidya.text import conversation_format, corpus_file
from vidya.text.conversation_format import LINE_BREAK
from vidya.text.corpus_file import Dropped
from vidya.text.tokenizer_training import train_tokenizer

texts = st.text(st.characters(codec="utf-8"))
AB = "<|user|> a <|assistant|> b"


def converted(path, **options):
    dropped, reader = Dropped(), ChatReader(**options)
    return list(reader.documents(path, dropped)), +dropped, +reader.left_out, reader.told


def converted_bytes(tmp_path, raw, **options):
    (tmp_path / "c").write_bytes(raw)
    return converted(tmp_path / "c", **options)


def refusal(path, **options) -> str:
    with pytest.raises(UserError) as error:
        list(ChatReader(**options).documents(path, Dropped()))
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


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


# ---------------------------------------------------------------- layouts and kinds of file


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_thousand_conversations_and_three_bad_lines(tmp_path, layout):
    name = LAYOUTS[layout][0]
    rows, expected = rows_and_documents(layout, 1000)
    lines = as_lines(rows).splitlines(keepends=True)
    lines[3:3] = [lines[3][: len(lines[3]) // 2].rstrip() + b"\n"]
    lines[500:500] = [b'{"license": "MIT"}\n']
    lines[900:900] = [lines[900].replace(b"of", b"\xff", 1).replace(b"a", b"\xff", 1)]
    documents, dropped, left_out, told = converted_bytes(tmp_path, b"".join(lines))
    assert documents == expected and not dropped and not left_out
    path = tmp_path / "c"
    assert told[0] == f"{path}: {name}, 1,000 conversations; 3 bad lines skipped"
    assert told[1].startswith(f"{path}, line 4: not ")  # JSON, or a letter cut in two
    assert told[2] == f"{path}, line 501: no conversation: it has 'license'"
    assert told[3] == f"{path}, line 901: not UTF-8 (byte 0xff)"


@pytest.mark.parametrize("layout", ["messages", "sharegpt", "ultrachat", "alpaca"])
@pytest.mark.parametrize("container", CONTAINERS)
def test_kinds_of_files(tmp_path, layout, container):
    rows, expected = rows_and_documents(layout, 600)
    documents, dropped, _, told = converted_bytes(tmp_path, CONTAINERS[container](rows))
    assert documents == expected and not dropped
    assert told == [f"{tmp_path / 'c'}: {LAYOUTS[layout][0]}, 600 conversations"]


@pytest.mark.parametrize("separator", [",", "\t", ";"])
@pytest.mark.parametrize("layout", ["prompt_response", "alpaca", "question_answer", "preference"])
def test_tables(tmp_path, layout, separator):
    rows, expected = rows_and_documents(layout, 100)
    assert converted_bytes(tmp_path, as_table(rows, separator))[0] == expected


def test_bad_rows_of_a_table(tmp_path):
    rows, _ = rows_and_documents("alpaca", 1000)
    raw = as_table([{**row, "instruction": "q", "output": str(i)} for i, row in enumerate(rows)])
    lines = raw.splitlines(keepends=True)
    lines[5:5], lines[500:500], lines[900:900] = [b"torn\r\n"], [b"a,b\r\n"], [b"a,b,c,d\r\n"]
    documents, _, _, told = converted_bytes(tmp_path, b"".join(lines))
    assert documents == [f"<|user|> q <|assistant|> {i}" for i in range(1000)]
    assert told[0].endswith(": Alpaca, 1,000 conversations; 3 bad lines skipped")
    assert told[1] == f"{tmp_path / 'c'}, line 6: 1 cells where there are 3 columns"
    path = tmp_path / "c"
    path.write_bytes("question,answer\nwarum,schön\n".encode("cp1252"))
    assert "line 2: byte 0xf6 is not UTF-8: it looks like Windows-1252" in refusal(path)


def test_lists_as_prompt_and_completion(tmp_path):
    asked, said = messages(["a", "b"])
    rows = [
        {"prompt": [asked], "completion": [said]}, {"prompt": [asked], "chosen": [said]},
        {"prompt": [asked], "response": "b"}, {"prompt": "a", "chosen": [asked, said]},
        {"prompt": "a", "chosen": "b", "rejected": "c"},
    ]  # fmt: skip
    assert converted_bytes(tmp_path, as_lines(rows))[0] == [AB] * 5


def test_lists_in_the_cells_of_a_table(tmp_path):
    turns = [conversation(number) for number in range(30)]
    for written in (str, json.dumps, lambda t: "[" + "\n ".join(map(repr, t)) + "]"):
        rows = [{"id": str(i), "dialog": written(t)} for i, t in enumerate(turns)]
        assert converted_bytes(tmp_path, as_table(rows))[0] == [document(t) for t in turns]
    rows = [{"id": "x", "messages": str(messages(t))} for t in turns]
    assert converted_bytes(tmp_path, as_table(rows))[0] == [document(t) for t in turns]


@pytest.mark.parametrize("written", [chatml, llama3, labelled])
@pytest.mark.parametrize("between", ["\n<|endoftext|>\n", "\n---\n"])
def test_turns_written_out(tmp_path, written, between):
    turns = [conversation(number) for number in range(300)]
    raw = between.join(map(written, turns)) + between
    assert converted_bytes(tmp_path, raw.encode())[0] == [document(t) for t in turns]


def test_turns_written_out_a_conversation_a_paragraph_or_a_line(tmp_path):
    raw = "User: a\nBot: b\nc\n\nUser: d\nBot: e\n"
    assert converted_bytes(tmp_path, raw.encode())[0] == [
        "<|user|> a <|assistant|> b↵c", "<|user|> d <|assistant|> e"
    ]  # fmt: skip
    own = f"{AB}\n<|user|>c<|assistant|>d\n"
    assert converted_bytes(tmp_path, own.encode())[0] == [AB, "<|user|> c <|assistant|> d"]
    told = "<|system|>\nbe nice</s>\n<|user|>\na</s>\n<|assistant|>\nb</s>\n"
    documents, _, left_out, _ = converted_bytes(tmp_path, told.encode())
    assert documents == [AB] and left_out == {"system message": 1}
    merged = converted_bytes(tmp_path, told.encode(), system="merge")
    assert merged[0] == ["<|user|> be nice↵↵a <|assistant|> b"]


def test_a_mixture_in_one_file(tmp_path):
    turns = ["a", "b"]
    rows = [{"messages": messages(turns)}, {"conversations": sharegpt(turns)}, turns] * 2
    documents, _, _, told = converted_bytes(tmp_path, as_lines(rows))
    assert documents == [AB] * 6
    assert told[0].endswith(
        ": messages, 2 conversations; ShareGPT, 2 conversations; lists of messages, 2 conversations"
    )


def test_lines_with_commas_behind_them_and_files_put_together(tmp_path):
    line = json.dumps({"messages": messages(["a", "b"])})
    assert converted_bytes(tmp_path, f"{line},\n{line},\n".encode())[0] == [AB] * 2
    marked = f"\ufeff{line}\r\n"
    assert converted_bytes(tmp_path, (marked * 3).encode())[0] == [AB] * 3


def test_a_list_of_messages_alone_is_a_conversation(tmp_path):
    for raw in (json.dumps(messages(["a", "b"])), json.dumps({"messages": messages(["a", "b"])})):
        assert converted_bytes(tmp_path, raw.encode())[0] == [AB]
        indented = json.dumps(json.loads(raw), indent=4).encode()
        assert converted_bytes(tmp_path, indented)[0] == [AB]


def test_parts_of_messages(tmp_path):
    picture = {"type": "image_url", "image_url": {"url": "x"}}
    content = [{"type": "text", "text": "a"}, picture, {"type": "text", "text": "more"}]
    row = {"messages": [{"role": "user", "content": content}, *messages(["", "b"])[1:]]}
    documents, _, left_out, _ = converted_bytes(tmp_path, as_lines([row]))
    assert documents == ["<|user|> a↵↵more <|assistant|> b"]
    assert left_out == {"part that is no text": 1}


def test_what_an_instruction_is_about_and_what_came_before(tmp_path):
    row = {
        "instruction": "Add", "input": "1 2", "output": "3", "system": "Be brief",
        "history": [["hi", "hello"]],
    }  # fmt: skip
    documents, _, left_out, _ = converted_bytes(tmp_path, as_lines([row]))
    assert documents == ["<|user|> hi <|assistant|> hello <|user|> Add↵↵1 2 <|assistant|> 3"]
    assert left_out == {"system message": 1}
    merged = converted_bytes(tmp_path, as_lines([row]), system="merge")[0]
    assert merged[0].startswith("<|user|> Be brief↵↵hi <|assistant|>")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"messages": None, "x": 1}, None),
        ({"messages": []}, "without a reply to the user"),
        ({"messages": ["a", {"role": "user"}]}, "with a message that is no object"),
        ({"messages": [{"role": "user"}]}, "with a message without role and content as text"),
        (
            {"messages": [{"role": "user", "content": 3}]},
            "with a message without role and content as text",
        ),
        (
            {"messages": [*messages(["a", "b"]), {"role": "tool", "content": "x"}]},
            "with calls of tools",
        ),
        (
            {"messages": [{"role": "assistant", "content": None, "tool_calls": [{}]}]},
            "with calls of tools",
        ),
        ({"prompt": "a", "response": None}, "with prompt or response that is no text"),
    ],
)
def test_conversations_that_cannot_be_used(tmp_path, row, reason):
    rows = [row, {"messages": messages(["a", "b"])}]
    documents, dropped, left_out, told = converted_bytes(tmp_path, as_lines(rows))
    assert documents == [AB] and not left_out
    assert dropped == ({reason: 1} if reason else {})
    assert len(told) == (1 if reason else 2)


# ---------------------------------------------------------------- bad rows


def some_bad(tmp_path, good, bad):
    rows = as_lines([{"messages": messages(["a", "b"])}] * good)
    (tmp_path / "c").write_bytes(rows + b"{oh\n" * bad)
    return tmp_path / "c"


@pytest.mark.parametrize(
    ("max_bad", "good", "bad"),
    [("1%", 30, 10), ("1%", 2000, 20), ("3", 10, 3), ("50%", 12, 12), ("0.5", 12, 12)],
)
def test_so_many_bad_lines_are_skipped(tmp_path, max_bad, good, bad):
    path = some_bad(tmp_path, good, bad)
    documents, _, _, told = converted(path, most_bad=MostBad.of(max_bad))
    assert len(documents) == good and f"{bad} bad lines skipped" in told[0]
    assert len(told) == 1 + min(5, bad)


@pytest.mark.parametrize(
    ("max_bad", "good", "bad"),
    [("1%", 12, 11), ("1%", 1000, 12), ("3", 10, 4), ("0", 10, 1), ("0%", 10, 1), ("50%", 12, 13)],
)
def test_more_bad_lines_are_an_error(tmp_path, max_bad, good, bad):
    message = refusal(some_bad(tmp_path, good, bad), most_bad=MostBad.of(max_bad))
    assert f"line {good + 1}: not JSON" in message and "--max-bad" in message


@pytest.mark.parametrize("written", ["-1", "x", "1.5", "200%", "nan", "inf", ""])
def test_numbers_that_max_bad_does_not_take(written):
    with pytest.raises(UserError, match="--max-bad must be"):
        MostBad.of(written)


def test_what_people_do_to_rows_of_json(tmp_path):
    good, printed = b'{"prompt": "a", "completion": "b"}\n', b"{'prompt': 'a', 'completion': 'b'}\n"
    for raw, bad in ((good + b'{"prompt": "c", "comp', 1), (b"// mine\n" + good + good, 1),
                     (printed + printed, 0)):  # fmt: skip
        documents, dropped, _, told = converted_bytes(tmp_path, raw)
        assert set(documents) == {AB}
        assert not dropped
        assert len(told) == 1 + bad


def test_tables_as_spreadsheets_write_them(tmp_path):
    for raw in (b"sep=;\nquestion;answer\na;b\n", b"question , answer \r\na,b\r\n"):
        assert converted_bytes(tmp_path, raw)[0] == [AB]
    told = converted_bytes(tmp_path, b"sep=;\nquestion;answer\n" + b"a;b\n" * 9 + b"a;b;c\n")[-1]
    assert "line 12: 3 cells where there are 2 columns" in told[1]


def test_damage_in_a_list_is_passed_over(tmp_path):
    rows, expected = rows_and_documents("messages", 50)
    lines = CONTAINERS["an item a line"](rows).splitlines(keepends=True)
    lines[20] = lines[20][:30] + b'",,\n'
    documents, _, _, told = converted_bytes(tmp_path, b"".join(lines))
    assert documents == expected[:19] + expected[20:]
    assert "1 bad line skipped" in told[0] and "line 21: not JSON" in told[1]
    indented = CONTAINERS["indented list"](rows).replace(b'"messages": [', b"", 1)
    documents, *_ = converted_bytes(tmp_path, indented)
    assert documents == expected[1:]


def test_a_list_that_was_cut(tmp_path):
    rows, expected = rows_and_documents("messages", 50)
    raw = CONTAINERS["list"](rows)
    documents, _, _, told = converted_bytes(tmp_path, raw[:-200])
    assert documents == expected[:49] and "1 bad line skipped" in told[0]
    documents, _, _, told = converted_bytes(tmp_path, raw[:-1])
    assert documents == expected and "ends in the middle of a list" in told[1]


# ---------------------------------------------------------------- what is refused


def test_no_pyarrow(tmp_path, monkeypatch):
    (tmp_path / "c.parquet").write_bytes(b"PAR1\x15\0 and so on")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    message = refusal(tmp_path / "c.parquet")
    assert message.endswith("is parquet, which needs: python -m pip install pyarrow")


def test_damaged_files(tmp_path):
    rows, _ = rows_and_documents("messages", 600)
    path = tmp_path / "c"
    whole = CONTAINERS["parquet"](rows)
    path.write_bytes(whole[: len(whole) // 2])
    assert f"cannot read {path} (" in refusal(path)
    for packed in (gzip.compress(as_lines(rows)), zstd(as_lines(rows))):
        path.write_bytes(packed[: len(packed) // 2])
        assert f"cannot unpack {path}: " in refusal(path)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"Once upon a time\nthere was no chat\n", "holds no conversations"),
        (
            b'{"text": "a story"}\n' * 30,
            "no conversation: it has 'text' (vidya.data text reads texts)",
        ),
        (b'{"size": 1}', "no conversation: it has 'size'"),
        (b"%PDF-1.4", "is a PDF"),
    ],
)
def test_files_without_conversations(tmp_path, raw, words):
    (tmp_path / "c").write_bytes(raw)
    assert words in refusal(tmp_path / "c")


def test_rows_are_read_as_they_are_asked_for(tmp_path):
    rows = [json.dumps({"messages": messages(["a", "b"])})] * 100_000
    for raw in ("\n".join(rows), "[" + ",\n".join(rows) + "]"):
        (tmp_path / "c").write_text(raw)
        documents = ChatReader().documents(tmp_path / "c", Dropped())
        assert next(documents) == AB
        file = next(
            value for value in documents.gi_frame.f_locals.values()
            if isinstance(value, io.BufferedReader)
        )  # fmt: skip
        assert file.tell() < len(raw) / 10
        documents.close()


# ---------------------------------------------------------------- the command


def run(name, *arguments):
    return run_command_process("data", name, *arguments)


def test_the_command(tmp_path):
    system = {"role": "system", "content": "x"}
    rows = [
        messages(["a", "b\nc"]), [system, *messages(["d", "e", ""])], messages(["alone"]),
        [{"role": "user"}],
    ]  # fmt: skip
    path, out = tmp_path / "c.jsonl", tmp_path / "o.txt"
    path.write_bytes(as_lines([{"messages": row} for row in rows]) + b"oh\n")
    done = run("ultrachat", path, "--out", out)
    assert done.returncode == 0 and not done.stderr, done.stderr
    documents = ["<|user|> a <|assistant|> b↵c", "<|user|> d <|assistant|> e"]
    assert list(corpus_file.read_documents(out)) == documents
    assert done.stdout.splitlines() == [
        f"{path}: messages, 2 conversations; 1 bad line skipped",
        f"{path}, line 5: not JSON (Expecting value at column 1)",
        f"{out}: 2 documents, {out.stat().st_size} bytes; dropped: "
        "1 with a message without role and content as text, 1 without a reply to the user; "
        "left out of them: 1 empty message, 1 system message; skipped: 1 bad "
        "(--system merge keeps what system messages say)",
    ]


def test_an_error_leaves_the_old_output(tmp_path):
    path, out = tmp_path / "c.jsonl", tmp_path / "o.txt"
    path.write_bytes(as_lines([{"messages": messages(["a", "b"])}] * 3) + b"oh\n")
    out.write_text("old\n")
    done = run("chat", path, "--out", out, "--max-bad", 0)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {path}, line 4: not JSON")
    assert len(done.stderr.splitlines()) == 1 and not done.stdout
    path.write_bytes(as_lines([{"messages": messages(["a"])}]))
    with pytest.raises(UserError, match="1 without a reply to the user dropped"):
        convert_chat([path], out)
    assert out.read_text() == "old\n" and len(list(tmp_path.iterdir())) == 2


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


# ---------------------------------------------------------------- whose words they are


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (  # Claude's export
            {"uuid": "x", "chat_messages": [{"sender": "human", "text": "a"},
                                            {"sender": "assistant", "text": "b"}]},
            AB,
        ),
        (  # Gemini's
            {"contents": [{"role": "user", "parts": [{"text": "a"}]},
                          {"role": "model", "parts": [{"text": "b"}]}]},
            AB,
        ),
        ({"Messages": [{"Role": "User", "Content": "a"}, {"Role": "Bot", "Content": "b"}]}, AB),
        ({"human": "a", "gpt": "b"}, AB),
        (  # SODA: who speaks stands beside what is said
            {"dialogue": ["a", "b", "c"], "speakers": ["Ann", "Ann", "Ben"]},
            "<|user|> a↵↵b <|assistant|> c",
        ),
        ({"questions": ["a", "c"], "answers": ["b", "d"]}, f"{AB} <|user|> c <|assistant|> d"),
        ({"prompt": "a", "completion": "b", "label": True}, AB),
    ],
)  # fmt: skip
def test_who_speaks(tmp_path, row, expected):
    documents, dropped, *_ = converted_bytes(tmp_path, as_lines([row]))
    assert documents == [expected]
    assert not dropped


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": ["a", "c"], "completion": ["b", "d"]}, "with whole columns of prompt and"),
        ({"prompt": "a", "completion": "b", "label": False}, "labelled as bad"),
        ({"dialogue": ["a", "b", "c"], "speakers": ["x", "y", "z"]}, "more than two speakers"),
        ({"dialogue": ["a", "b"], "speakers": ["x"]}, "more or fewer speakers"),
        (
            {"messages": [{"role": "user", "content": "a"},
                          {"role": "assistant", "content": [{"type": "text", "text": "b"},
                                                            {"type": "tool_use", "name": "f"}]}]},
            "with calls of tools",
        ),
    ],
)  # fmt: skip
def test_words_that_are_nobodys_reply_are_not_taught(tmp_path, row, reason):
    documents, dropped, *_ = converted_bytes(tmp_path, as_lines([row]))
    assert not documents
    assert dropped.total() == 1
    assert reason in next(iter(dropped))


def test_what_was_done_to_turns_written_out_is_told(tmp_path):
    raw = b"Human: a\n\nAssistant: b\n\nHuman: a\n\nAssistant: b\n"
    documents, _, _, told = converted_bytes(tmp_path, raw)
    assert documents == [AB, AB]
    assert told[1].endswith("each question beginning a conversation (2)")


def test_what_cannot_help_is_not_advised(tmp_path):
    path = tmp_path / "c"
    path.write_bytes(b'{"title": "x"}\n' * 3)
    assert "raise it" not in refusal(path)
    path.write_bytes(b'{"prompt": "a", "completion": "b"}\n' + b'{"title": "x"}\n' * 3)
    assert "raise it" in refusal(path, most_bad=MostBad.of("2"))


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("\n\nHuman: a\n\nAssistant:", " b"),
        ("<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n", "b<|im_end|>"),
        ("<s>[INST] a [/INST]", " b </s>"),
        ("### Instruction:\na\n\n### Response:\n", "b"),
    ],
)
def test_a_prompt_that_is_a_transcript_is_read_as_its_turns(tmp_path, prompt, answer):
    rows = [{"prompt": prompt, "chosen": answer, "rejected": " no"}]
    documents, _, _, told = converted_bytes(tmp_path, as_lines(rows))
    assert documents == [AB]
    assert "turns and chosen" in told[0]


def test_a_question_about_turns_is_a_question(tmp_path):
    rows = [{"prompt": "Human: a\nAssistant: b", "completion": "polite"},
            {"prompt": "Who says Assistant: and why?", "completion": "b"}]  # fmt: skip
    assert converted_bytes(tmp_path, as_lines(rows))[0] == [
        "<|user|> Human: a↵Assistant: b <|assistant|> polite",
        "<|user|> Who says Assistant: and why? <|assistant|> b",
    ]


def test_what_a_messenger_exports_is_known_by_its_names(tmp_path):
    path = tmp_path / "chat.txt"
    for when in ("[12/03/2024, 10:15:32] ", "12.03.24, 10:15 - ", "3/12/24, 9:05 PM - ", ""):
        path.write_text(f"{when}Ann: hi\n\u200e{when}Bob L.: hello\n{when}Ann: bye\nall\n" * 3)
        assert "begin with Ann: or Bob L.:, and who of them is the assistant" in refusal(path)
    path.write_text("User: hi\nAssistant: hello\nUser: bye\nAssistant: ciao\n")
    assert len(converted(path)[0]) == 2


def test_tokenised_conversations_are_written_as_people_do(tmp_path):
    spaced = "<|user|> hi , you . <|assistant|> I ' m fine , thanks ."
    (tmp_path / "c.txt").write_text(f"{spaced}\n")
    out = tmp_path / "out.txt"
    told = convert_chat([tmp_path / "c.txt"], out)
    assert out.read_text() == "<|user|> hi, you. <|assistant|> I'm fine, thanks.\n"
    assert "1 document written as people write it (--as-is keeps it)" in told
    assert "as-is" not in convert_chat([tmp_path / "c.txt"], out, as_is=True)
    assert out.read_text() == f"{spaced}\n"
