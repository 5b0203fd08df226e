"""Files of conversations as people have them: every layout, in every kind of file."""

import csv
import gzip
import io
import json

from vidya.text.conversation_format import long_conversation

OPENINGS = [
    "Hi! Can you help me plan dinner?", "Warum ist der Himmel blau?", "写一首关于春天的诗。",
    "Fix this:\n\n    for i in range(10)\n        print(i)", 'She said "no", then left; why?',
]  # fmt: skip
REPLIES = [
    "Of course. Two questions:\n\n1. Who is coming?\n2. Do they eat fish?",
    "Weil kurze Wellen stärker gestreut werden.", "春风又绿江南岸。", "You forgot the colon.",
    "Perhaps she was tired… 🙂",
]  # fmt: skip


def conversation(number):
    """The turns of a conversation: one exchange or two, none like another's."""
    turns = [f"{OPENINGS[number % 5]} ({number})", REPLIES[number % 5]]
    return turns + ["And then?", f"Then {number}, of course."] * (number % 3 == 0)


def document(turns):
    return long_conversation(turns)


def messages(turns, names=("user", "assistant"), role="role", text="content"):
    return [{role: names[i % 2], text: turn} for i, turn in enumerate(turns)]


def sharegpt(turns):
    return messages(turns, ("human", "gpt"), "from", "value")


def tree(turns):
    first, *rest = turns
    replies = [tree(rest), {"text": "worse", "role": "x", "rank": 1, "replies": []}] if rest else []
    return {"text": first, "role": "prompter" if len(turns) % 2 == 0 else "assistant", "rank": 0,
            "replies": replies}  # fmt: skip


def export(turns):
    """As ChatGPT exports a conversation: a tree by number, with an empty root."""
    mapping = {"root": {"id": "root", "message": None, "parent": None}}
    parent = "root"
    for number, turn in enumerate(turns):
        message = {
            "author": {"role": ("user", "assistant")[number % 2]},
            "content": {"content_type": "text", "parts": [turn]},
        }
        mapping[str(number)] = {"id": str(number), "message": message, "parent": parent}
        parent = str(number)
    return {"title": "Chat", "mapping": mapping, "current_node": parent}


def chatml(turns):
    return "".join(
        f"<|im_start|>{('user', 'assistant')[i % 2]}\n{turn}<|im_end|>\n"
        for i, turn in enumerate(turns)
    )


def llama2(turns):
    pairs = zip(turns[::2], turns[1::2], strict=True)
    return "".join(f"<s>[INST] {asked} [/INST] {said} </s>" for asked, said in pairs)


def llama3(turns):
    return "<|begin_of_text|>" + "".join(
        f"<|start_header_id|>{('user', 'assistant')[i % 2]}<|end_header_id|>\n\n{turn}<|eot_id|>"
        for i, turn in enumerate(turns)
    )


def labelled(turns, names=("Human", "Assistant")):
    return "\n\n".join(f"{names[i % 2]}: {turn}" for i, turn in enumerate(turns))


LAYOUTS = {  # name: what vidya calls it, how many turns it has (None: all), a row of it
    "messages": ("messages", None, lambda t: {"prompt": t[0], "messages": messages(t)}),
    "sharegpt": ("ShareGPT", None, lambda t: {"id": "x", "conversations": sharegpt(t)}),
    "conversations": ("conversations", None, lambda t: {"conversations": messages(t)}),
    "bare_list": ("lists of messages", None, messages),
    "texts": ("lists of messages", None, list),
    "ultrachat": ("UltraChat", None, lambda t: {"id": "0", "data": t}),
    "prompt_response": ("prompt and response", 2, lambda t: {"prompt": t[0], "response": t[1]}),
    "prompt_completion": (
        "prompt and completion", 2, lambda t: {"prompt": t[0], "completion": t[1]}
    ),
    "alpaca": ("Alpaca", 2, lambda t: {"instruction": t[0], "input": "", "output": t[1]}),
    "question_answer": ("question and answer", 2, lambda t: {"Question": t[0], "Answer": t[1]}),
    "dialog": ("dialog", None, lambda t: {"dialog": t, "emotion": [0] * len(t)}),
    "open_assistant": (
        "OpenAssistant", None, lambda t: {"message_tree_id": "x", "prompt": tree(t)}
    ),
    "chatgpt": ("ChatGPT's export", None, export),
    "chatml": ("text with ChatML turns", None, lambda t: {"text": chatml(t)}),
    "llama2": ("text with [INST] turns", None, lambda t: {"text": llama2(t)}),
    "llama3": ("text with Llama 3 turns", None, lambda t: {"text": llama3(t)}),
    "guanaco": (
        "text with ### Human: turns", None,
        lambda t: {"text": labelled(t, ("### Human", "### Assistant"))},
    ),
    "preference": (
        "chosen with Human: turns", None,
        lambda t: {"chosen": "\n\n" + labelled(t), "rejected": "\n\nHuman: x\n\nAssistant: y"},
    ),
}  # fmt: skip


def rows_and_documents(layout, count):
    """A row of each of so many conversations, and the documents to be made of them."""
    _, length, row = LAYOUTS[layout]
    turns = [conversation(number) for number in range(count)]
    return [row(t) for t in turns], [document(t[:length]) for t in turns]


def as_lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def as_table(rows, separator=","):
    file = io.StringIO()
    names = list(rows[0])
    writer = csv.writer(file, delimiter=separator)
    writer.writerow(names)
    writer.writerows([row[name] for name in names] for row in rows)
    return file.getvalue().encode()


def zstd(raw):
    try:
        from compression import zstd
    except ImportError:
        from backports import zstd
    return zstd.compress(raw)


def as_arrow(rows, kind):
    import pyarrow
    import pyarrow.parquet

    table, sink = pyarrow.Table.from_pylist(rows), pyarrow.BufferOutputStream()
    if kind == "parquet":
        pyarrow.parquet.write_table(table, sink, row_group_size=300)
    else:
        new = pyarrow.ipc.new_file if kind == "file" else pyarrow.ipc.new_stream
        with new(sink, table.schema) as writer:
            writer.write_table(table)
    return sink.getvalue().to_pybytes()


CONTAINERS = {  # how rows become the bytes of a file
    "list": lambda rows: json.dumps(rows).encode(),
    "indented list": lambda rows: json.dumps(rows, indent=2, ensure_ascii=False).encode(),
    "an item a line": lambda rows: b"[\n" + b",\n".join(as_lines(rows).splitlines()) + b"\n]\n",
    "wrapped": lambda rows: json.dumps({"version": "1", "n": 2, "data": rows}).encode(),
    "indented objects": lambda rows: b"\n".join(json.dumps(row, indent=1).encode() for row in rows),
    "gzip": lambda rows: gzip.compress(as_lines(rows)),
    "zstd": lambda rows: zstd(as_lines(rows)),
    "utf-16": lambda rows: as_lines(rows).decode().encode("utf-16"),
    "parquet": lambda rows: as_arrow(rows, "parquet"),
    "packed parquet": lambda rows: gzip.compress(as_arrow(rows, "parquet")),
    "arrow": lambda rows: as_arrow(rows, "file"),
    "arrow stream": lambda rows: as_arrow(rows, "stream"),
}
