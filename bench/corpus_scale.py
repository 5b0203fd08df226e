"""A corpus of 1.2 GB through the real commands: seconds, memory, MB/s, beside what is promised.

python bench/corpus_scale.py [--folder /tmp/corpus_scale] [--bytes 1.2e9] [--only STAGE …]

Builds 208,000 conversations of UltraChat's size out of chitchat's messages (turns drawn by
seed, so that no two are equal; the assistant's in paragraphs and lists), half of them as
parquet and half as JSONL, converts them, mixes them with chitchat, learns a tokenizer,
writes the token cache, and starts trainings from it. Each stage is a process of its own;
its peak memory is the kernel's (VmHWM, of the largest of its processes). Stages can be run
one by one: what earlier ones wrote stays in the folder, with what they took. `--delete`
removes the folder at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONVERSATIONS = 208_000
BYTES = 1.2e9
SEED = 25
ROW_GROUP = 5_000
STEPS = 1


@dataclass(frozen=True)
class Bar:
    """What a stage may take at 1.2 GB."""

    seconds: float | None = None
    peak_gb: float | None = None
    mb_per_s: float | None = None

    def verdict(self, row: dict[str, Any]) -> str:
        """The bars of a stage, and whether its figures keep them."""
        checks = [
            (self.seconds, row["seconds"], "≤ {:g} s", 1),
            (self.peak_gb, row["peak_bytes"] / 1e9, "≤ {:g} GB", 1),
            (self.mb_per_s, row.get("mb_per_s", 0.0), "≥ {:g} MB/s", -1),
        ]
        words = [
            f"{text.format(bar)} {'kept' if sign * value <= sign * bar else 'MISSED'}"
            for bar, value, text, sign in checks
            if bar is not None
        ]
        return ", ".join(words)


BARS = {
    "combine": Bar(peak_gb=2.0),
    "tokenizer": Bar(seconds=300, peak_gb=4.0),
    "cache": Bar(peak_gb=1.5, mb_per_s=5.0),
    "start": Bar(seconds=5.0),
    "resume": Bar(seconds=5.0),
}


# ---------------------------------------------------------------- the corpus


def messages_of_chitchat() -> list[str]:
    """What people said, a message a string."""
    from vidya.corpora.chitchat import chitchat_documents
    from vidya.text.conversation_format import MARKERS

    texts = []
    for document in chitchat_documents():
        for marker in MARKERS:
            document = document.replace(marker, "\n")
        texts += [line.strip() for line in document.split("\n") if line.strip()]
    return texts


def conversations(count: int, size: float) -> Iterator[list[dict[str, str]]]:
    """Conversations of about `size` bytes: two to five questions and long answers."""
    texts = messages_of_chitchat()
    mean = sum(len(text.encode()) for text in texts) / len(texts)
    draw = random.Random(SEED)
    for _ in range(count):
        # Around the mean, as a share of the text that a conversation has.
        wanted = max(4, round(size * draw.uniform(0.4, 1.6) / (mean + 2)))
        some = draw.choices(texts, k=wanted)
        exchanges = min(draw.randint(2, 5), wanted // 2)
        questions, answers = some[:exchanges], some[exchanges:]
        share = -(-len(answers) // exchanges)
        messages = []
        for number, question in enumerate(questions):
            part = answers[number * share : (number + 1) * share]
            messages.append({"role": "user", "content": question})
            messages.append({"role": "assistant", "content": answer(part, number)})
        yield messages


def answer(sentences: list[str], number: int) -> str:
    """Sentences as paragraphs of four, or as a list."""
    if number % 2:
        return "\n".join(f"{place}. {text}" for place, text in enumerate(sentences, 1))
    paragraphs = (" ".join(sentences[at : at + 4]) for at in range(0, len(sentences), 4))
    return "\n\n".join(paragraphs)


def build_sources(folder: Path, size: float) -> None:
    """Half of the conversations as parquet, half as JSONL."""
    import pyarrow
    import pyarrow.parquet

    count = round(CONVERSATIONS * size / BYTES)
    source = conversations(count, 0.985 * size / count)  # markers come on top
    rows: list[list[dict[str, str]]] = []
    writer = None
    for number in range(count // 2):
        rows.append(next(source))
        if len(rows) == ROW_GROUP or number == count // 2 - 1:
            table = pyarrow.table({"prompt_id": [str(number)] * len(rows), "messages": rows})
            writer = writer or pyarrow.parquet.ParquetWriter(folder / "half.parquet", table.schema)
            writer.write_table(table)
            rows = []
    if writer is not None:
        writer.close()
    with open(folder / "half.jsonl", "w", encoding="utf-8") as file:
        for messages in source:
            file.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")


# ---------------------------------------------------------------- measuring a process


def peak_of(pid: int) -> int:
    """VmHWM of a process, in bytes; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(found[0]) * 1024 if found else 0


def family_of(pid: int) -> list[int]:
    """A process and its descendants."""
    found = [pid]
    for one in found:
        try:
            for task in Path(f"/proc/{one}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        except OSError:
            continue
    return found


def measured(
    command: list[str], log: Path, until: Callable[[str], bool] | None = None
) -> dict[str, Any]:
    """Seconds and peak memory of a command; with `until`, up to the line that it accepts.

    After that line the command runs on to its end.
    """
    begin, used = time.monotonic(), processor_seconds()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8"
    )
    peak = 0
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.05):
            peak = max(peak, *map(peak_of, family_of(process.pid)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    seconds = None
    lines = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if until is not None and seconds is None and until(line):
            seconds = time.monotonic() - begin
    code = process.wait()
    ended.set()
    watcher.join()
    log.write_text("".join(lines), encoding="utf-8")
    if code != 0 or (until is not None and seconds is None):
        raise SystemExit(f"{' '.join(command)}\n{''.join(lines)}failed with status {code}")
    return {
        "seconds": seconds or time.monotonic() - begin,
        "processor_seconds": processor_seconds() - used,
        "peak_bytes": peak,
        "lines": lines,
    }


def processor_seconds() -> float:
    """What the children of this process have used, user and system."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


# ---------------------------------------------------------------- stages


class Stages:
    """The stages, in their order, on the files of one folder."""

    def __init__(self, folder: Path, size: float) -> None:
        self.folder, self.size = folder, size
        self.names = (
            "build",
            "convert",
            "combine",
            "tokenizer",
            "cache",
            "first",
            "start",
            "resume",
        )

    def run(self, name: str) -> dict[str, Any]:
        """Run a stage; what it took."""
        row: dict[str, Any] = getattr(self, name)()
        lines = row.pop("lines", [])
        print(f"{name}: {row['seconds']:.1f} s, {row['peak_bytes'] / 1e9:.2f} GB", flush=True)
        print("".join("    " + line for line in lines[-6:]), end="", flush=True)
        return row

    def _command(self, name: str, *arguments: object, **options: Any) -> dict[str, Any]:
        module, *rest = arguments
        words = [sys.executable, "-m", f"vidya.{module}", *map(str, rest)]
        return measured(words, self.folder / f"{name}.log", **options)

    def build(self) -> dict[str, Any]:
        """Make the sources."""
        begin = time.monotonic()
        build_sources(self.folder, self.size)
        return {"seconds": time.monotonic() - begin, "peak_bytes": peak_of(os.getpid())}

    def convert(self) -> dict[str, Any]:
        """`vidya.data ultrachat`."""
        sources = self.folder / "half.parquet", self.folder / "half.jsonl"
        out = self.folder / "ultrachat.txt"
        return self._rated(self._command("convert", "data", "ultrachat", *sources, "--out", out))

    def combine(self) -> dict[str, Any]:
        """`vidya.data combine`, with chitchat twice and a validation split."""
        chitchat = self.folder / "chitchat.txt"
        self._command("chitchat", "data", "chitchat", "--out", chitchat)
        return self._rated(
            self._command(
                "combine", "data", "combine", chitchat, self.folder / "ultrachat.txt",
                "--weights", 2, 1, "--out", self.folder / "all.txt",
                "--val-out", self.folder / "val.txt", "--val-fraction", 0.005,
            )
        )  # fmt: skip

    def tokenizer(self) -> dict[str, Any]:
        """`train_tokenizer` over the corpus, saved."""
        code = (
            "import sys; from vidya.text.corpus_file import read_documents; "
            "from vidya.text.tokenizer_training import train_tokenizer; "
            "t = train_tokenizer(read_documents(sys.argv[1]), 4000, say=print); t.save(sys.argv[2])"
        )
        words = [sys.executable, "-c", code, self.folder / "all.txt", self.folder / "t.json"]
        return self._rated(measured([str(w) for w in words], self.folder / "tokenizer.log"))

    def cache(self) -> dict[str, Any]:
        """`token_cache.build` of the corpus."""
        code = (
            "import sys; from vidya.text.corpus_file import read_documents; "
            "from vidya.text import token_cache; "
            "from vidya.text.tokenizer import Tokenizer; "
            "token_cache.build(sys.argv[3], read_documents(sys.argv[1]), "
            "Tokenizer.load(sys.argv[2]), 'x' * 32)"
        )
        names = ("all.txt", "t.json", "all.tokens")
        words = [sys.executable, "-c", code, *(self.folder / name for name in names)]
        return self._rated(measured([str(w) for w in words], self.folder / "cache.log"))

    def first(self) -> dict[str, Any]:
        """`vidya.train` from nothing, tokenizer and cache made on the way: to the first step."""
        return self._train("first", "--overwrite")

    def start(self) -> dict[str, Any]:
        """The same over the cache that it left."""
        return self._train("start", "--overwrite")

    def resume(self) -> dict[str, Any]:
        """`vidya.train --resume`: to the first step that is new."""
        return self._train("resume", "--resume", steps=2 * STEPS)

    def _train(self, name: str, how: str, steps: int = STEPS) -> dict[str, Any]:
        return self._command(
            name, "train", "--preset", "nano", "--data", self.folder / "all.txt",
            "--val", self.folder / "val.txt", "--merges", 4000, "--out", self.folder / "run",
            "--steps", steps, "--eval-every", 10**6, "--samples", 1, how,
            until=lambda line: line.startswith(f"step {steps}/"),
        )  # fmt: skip

    def _rated(self, row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "mb_per_s": self.size / 1e6 / row["seconds"]}


def table(rows: dict[str, dict[str, Any]]) -> str:
    """The figures as Markdown."""
    lines = [
        "| stage | seconds | processor seconds | peak memory, GB | MB/s | promised |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        rate = f"{row['mb_per_s']:.1f}" if "mb_per_s" in row else ""
        verdict = BARS[name].verdict(row) if name in BARS else ""
        lines.append(
            f"| {name} | {row['seconds']:.1f} | {row.get('processor_seconds', 0):.0f} "
            f"| {row['peak_bytes'] / 1e9:.2f} | {rate} "
            f"| {verdict} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Run the stages asked for; exit status 1 if a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("/tmp/corpus_scale"))
    parser.add_argument("--bytes", type=float, default=BYTES)
    parser.add_argument("--only", nargs="*", default=None, help="stages; by default all")
    parser.add_argument("--delete", action="store_true", help="remove the folder at the end")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    stages = Stages(options.folder, options.bytes)
    known = options.folder / "figures.json"
    rows = json.loads(known.read_text()) if known.exists() else {}
    for name in stages.names if options.only is None else options.only:
        rows[name] = stages.run(name)
        known.write_text(json.dumps(rows))
    report = table({name: rows[name] for name in stages.names if name in rows})
    print(report)
    if options.delete:
        shutil.rmtree(options.folder)
    return 1 if "MISSED" in report else 0


if __name__ == "__main__":
    raise SystemExit(main())
