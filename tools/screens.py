"""README walked in terminals of several widths: what a newcomer sees, recorded and checked.

Every command of README's blocks of code is run in a terminal of its own (a pty), in a folder with
small files of the names that README uses; trainings are made small. What appears is recorded as
text, and checked: no line wider than the terminal, no word broken, no traceback, and no escape
codes where NO_COLOR is set. `make screens` runs it; a fault is exit status 1.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pexpect
import pyte

ROOT = Path(__file__).resolve().parent.parent
WIDTHS = (40, 80, 100)
QUIET, MOST_SECONDS = 1.0, 120.0
"""Seconds without a word after which somebody types, and in which a command must be over."""
DROPPED = {
    "train": ("--preset", "--minutes", "--steps"), "plan": ("--preset", "--minutes"),
    "preflight": ("--preset",), "tokenizer": ("--merges",), "expand": ("--preset",),
}  # fmt: skip
"""Options, each with a value, that would make a command take long."""
TINY = ["--n-embd", "32", "--n-layer", "1", "--n-head", "2", "--context", "64", "--merges", "60"]
SHORT = ["--steps", "12", "--samples", "2", "--eval-tokens", "500"]
ADDED = {
    "plan": [*TINY, "--minutes", "1", "--measure-seconds", "0.2"], "preflight": TINY,
    "threads": ["--preset", "nano", "--precision", "fp32", "--threads", "1", "--tokens", "64"],
    "finetune": ["--epochs", "2"], "rl": ["--steps", "2", "--prompts-per-step", "2"],
    "expand": ["--n-embd", "64", "--n-layer", "2", "--n-head", "4", "--context", "64"],
    "tokenizer train": ["--merges", "60"], "eval": ["--tokens", "300", "--replies", "3"],
}  # fmt: skip
"""Options that make it small."""
TYPED = {
    "chat": ["hello", "how are you?", "/help", "/stats", "/quit"],
    "teach": ["who are you?", "I am vidya.", "/help", "/quit"],
    "monitor": ["", "n", "q"],
    "remove": ["n"],
}
"""What is typed at commands that read."""
ERRORS = [
    "train --steps abc", "train --resume --out nowhere", "chat nowhere", "monitor nowhere",
    "train --out bad --lr 10 --overwrite", "train --data persona.txt --out eight --overwrite",
]  # fmt: skip
"""Mistakes, and runs that end badly: README has none."""
NEEDS_NETWORK_OR_MINUTES = ("data chitchat",)
"""Commands that are walked at the first width alone: they work on millions of words."""


@dataclass(frozen=True)
class Session:
    """A command in a terminal, and what appeared there."""

    shown: str
    """The command as README has it."""
    raw: str
    """All that was written, escape codes and all."""
    lines: list[str]
    """What the screen showed in the end, and what had left it at the top."""
    too_wide: list[str]
    """Lines that the terminal had to break."""
    ended: bool


class Screen(pyte.Screen):
    """A terminal that notes the lines which were longer than it is wide."""

    def __init__(self, columns: int) -> None:
        super().__init__(columns, 1500)
        self.too_wide: list[str] = []

    def draw(self, data: str) -> None:
        """Draw text, letter by letter; one that comes after the last column is too much."""
        for letter in data:
            if self.cursor.x >= self.columns:
                self.too_wide.append(self.display[self.cursor.y].rstrip() + letter)
            super().draw(letter)


# ---------------------------------------------------------------- what is run


def readme_commands() -> list[str]:
    """The commands of README's blocks of code, in their order, each once."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"```\w*\n(.*?)```", text, re.DOTALL))
    found = re.findall(r"(?:python -m vidya\.|^vidya )(.+)$", blocks, re.MULTILINE)
    return list(dict.fromkeys(shlex.join(shlex.split(one, comments=True)) for one in found))


def made_small(words: list[str], *, first_run: bool) -> list[str]:
    """A command of README as it is run here: the same, with less to do."""
    name, *rest = words
    if "--help" in words or "--help-all" in words:
        return words
    size = rest[rest.index("--preset") + 1] if "--preset" in rest else "10m"
    kept: list[str] = []
    dropped = DROPPED.get(name, ())
    while rest:
        word, *rest = rest
        if word in dropped:
            rest = rest[1:]
        else:
            kept.append(word)
    if name == "train":
        goes_on = "--resume" in kept
        kept += SHORT if not goes_on else ["--steps", "18"]
        own_size = TINY[:-2] if "--tokenizer" in kept else TINY  # without merges of its own
        kept += [] if goes_on or "--init" in kept else own_size
        kept += ["--out", f"runs/{size}"] if "--out" not in kept else []
        kept += [] if goes_on or "--data" in kept else ["--data", "talk_corpus.txt"]
        kept += [] if goes_on or first_run or "--overwrite" in kept else ["--overwrite"]
    if name in ("plan", "preflight"):
        kept += ["--data", "talk_corpus.txt"]
    return [name, *kept, *ADDED.get(name, ADDED.get(" ".join(words[:2]), []))]


def furnish(folder: Path) -> None:
    """Write the files that README names."""
    import gzip
    import json
    import random

    draw = random.Random(5)
    words = "the cat dog sat on a mat hello how are you fine thanks what do like red tea".split()

    def talk(count: int) -> str:
        lines = []
        for _ in range(count):
            said, replied = (" ".join(draw.choices(words, k=draw.randint(3, 9))) for _ in "ab")
            lines.append(f"<|user|> {said} <|assistant|> {replied}\n")
        return "".join(lines)

    for name in ("talk_corpus", "mine", "more", "chitchat", "ultrachat", "val", "all", "train"):
        (folder / f"{name}.txt").write_text(talk(300 if name != "val" else 40))
    persona = "<|user|> who are you? <|assistant|> I am vidya.\n"
    (folder / "persona.txt").write_text(persona + talk(7))
    prose = "The cat sat on the mat. It was red and it liked tea.\n\n"
    (folder / "book.txt").write_text(prose * 30)
    (folder / "stories.txt").write_text((prose + "<|endoftext|>\n") * 9)
    (folder / "dialogues_train.txt").write_text("hello . __eou__ how are you ? __eou__\n" * 9)
    chat = [
        {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]}
    ]
    (folder / "sharegpt.json").write_text(json.dumps(chat))
    with gzip.open(folder / "alpaca.jsonl.gz", "wt") as file:
        file.write('{"instruction": "say hi", "input": "", "output": "hi"}\n')
    (folder / "mine.py").write_text("def judge(turns, reply):\n    return float(len(reply) > 3)\n")


# ---------------------------------------------------------------- a session


def run(words: list[str], shown: str, folder: Path, width: int, **environment: str) -> Session:
    """Run a command in a terminal, type what it waits for, and keep what appeared."""
    ours = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    child = pexpect.spawn(
        sys.executable, ["-m", f"vidya.{words[0]}", *words[1:]], dimensions=(30, width),
        cwd=str(folder), encoding="utf-8", codec_errors="replace",
        env={
            **ours, "TERM": "xterm-256color", "PYTHONUTF8": "1",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}", **environment,
        },
    )  # fmt: skip
    typed, raw, begun = list(TYPED.get(words[0], [])), "", time.monotonic()
    while time.monotonic() - begun < MOST_SECONDS:
        try:
            raw += child.read_nonblocking(65536, timeout=QUIET)
        except pexpect.TIMEOUT:
            if typed and raw:
                key = typed.pop(0)
                child.send(key if words[0] == "monitor" else key + "\r")
        except pexpect.EOF:
            break
    ended = not child.isalive()
    child.close(force=True)
    screen = Screen(width)
    pyte.Stream(screen).feed(raw)
    lines = [line.rstrip() for line in screen.display]
    while lines and not lines[-1]:
        lines.pop()
    if "\x1b[?1049h" in raw:  # a screen of its own, which is gone in the end
        inside = raw.partition("\x1b[?1049h")[2].partition("\x1b[?1049l")[0]
        whole = Screen(width)
        pyte.Stream(whole).feed(inside)
        lines = [line.rstrip() for line in whole.display[:30]]
    return Session(shown, raw, lines, screen.too_wide, ended)


# ---------------------------------------------------------------- what is checked


def faults(session: Session, known: set[str], *, plain: bool) -> list[str]:
    """What is wrong with a session.

    Args:
        session: to be checked.
        known: words of a wider terminal: two halves that make one of them are a broken word.
        plain: whether NO_COLOR was set.
    """
    for_programs = "--json" in session.shown
    too_wide = [] if for_programs else session.too_wide[:3]
    found = [f"wider than the terminal: {line}" for line in too_wide]
    if "Traceback" in session.raw:
        found.append("a traceback")
    if not session.ended:
        found.append("it did not end")
    width = max(map(len, session.lines), default=0)
    for line, after in zip(session.lines, session.lines[1:], strict=False):
        if not line or not after or for_programs:
            continue
        first, last = line.split()[-1], after.split()[0]
        fits = len(first + last) < width - 4  # a longer word has to be cut, at a mark if it can be
        if fits and first + last in known and not {first, last} <= known:
            found.append(f"a broken word: {first} {last}")
    if plain:
        reads = session.shown.split()[0] in TYPED and "--prompt" not in session.shown
        codes = r"\x1b\[(?:[1-9]|\d\d+)(?:;\d+)*m" if reads else r"\x1b"
        if re.search(codes, session.raw):
            found.append("escape codes in spite of NO_COLOR")
    return found


def words_of(sessions: list[Session]) -> set[str]:
    """The words that appeared, as they stood there."""
    return {word for session in sessions for line in session.lines for word in line.split()}


def walk(width: int, *, plain: bool = False, some: str = "") -> list[Session]:
    """All sessions at a width, those with `some` in their command, in a folder of their own."""
    sessions = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        furnish(folder)
        environment = {"XDG_CACHE_HOME": str(folder / "cache")}
        if plain:
            environment["NO_COLOR"] = "1"
        for command in [*readme_commands(), *ERRORS]:
            first = command.startswith(NEEDS_NETWORK_OR_MINUTES)
            if some not in command or (first and (width != WIDTHS[0] or plain)):
                continue
            words = shlex.split(command)
            if command not in ERRORS:
                words = made_small(words, first_run=not (folder / "runs").exists())
            elif "abc" not in command and words[0] == "train" and "--resume" not in words:
                words = made_small(words, first_run=True)
            begun = time.monotonic()
            sessions.append(run(words, command, folder, width, **environment))
            if first:
                furnish(folder)  # small again
            print(f"{width:4} {time.monotonic() - begun:6.1f} s  {command}", flush=True)
    return sessions


def recording(sessions: list[Session]) -> str:
    """The sessions as text."""
    blocks = ["\n".join([f"$ python -m vidya.{one.shown}", *one.lines]) for one in sessions]
    return "\n\n".join(blocks) + "\n"


def main() -> int:
    """Walk README at every width, write what was seen, and say what is wrong with it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "screens")
    parser.add_argument("--widths", type=int, nargs="+", default=list(WIDTHS))
    parser.add_argument("--only", default="", help="commands that hold this text")
    options = parser.parse_args()
    known: set[str] = set()
    count = walked = 0
    for width in sorted(options.widths, reverse=True):  # the widest knows the words
        sessions = walk(width, some=options.only)
        for session in sessions:
            for fault in faults(session, known, plain=False):
                count += 1
                print(f"{width} columns, {session.shown}: {fault}", flush=True)
        known |= words_of(sessions)
        walked += len(sessions)
        if not options.only:
            options.out.mkdir(parents=True, exist_ok=True)
            path = options.out / f"screens_{width}.txt"
            path.write_text(recording(sessions), encoding="utf-8")
    plain = walk(80, plain=True, some=options.only)
    walked += len(plain)
    for session in plain:
        for fault in faults(session, set(), plain=True):
            count += 1
            print(f"NO_COLOR, {session.shown}: {fault}")
    print(f"{walked} sessions, {count} faults")
    return 1 if count else 0


if __name__ == "__main__":
    raise SystemExit(main())
