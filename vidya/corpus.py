"""The corpus: documents as lines of text, and what turns other people's files into them.

- A corpus file is UTF-8; every line that is not blank is one document.
- A conversation is `<|user|> text <|assistant|> text …` on one line. Any other
  line is a document too. A line break inside a document is written `↵`.
- Everything streams: no function here holds the text of a whole corpus.
- Whether a document is held out for validation depends on its own text alone, so
  it stays in its split when the corpus around it grows, shrinks or is reordered.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import json
import os
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from vidya.errors import UserError

BOS = "<|bos|>"
"""Stands before a document and after it."""
USER = "<|user|>"
"""Opens a turn of the person."""
ASSISTANT = "<|assistant|>"
"""Opens a turn of the model."""
MARKERS = (BOS, USER, ASSISTANT)

LINE_BREAK = "↵"
"""Stands in a document for the end of a line, since a document is one line of a corpus."""
BOM = b"\xef\xbb\xbf"
"""Which some programs put at the head of a UTF-8 file."""

_OPENING = re.compile(r"<(?=\|(?:bos|user|assistant)\|>)")
_EOU = "__eou__"
_MAX_ZIP_DEPTH = 3

Dropped = Counter[str]
"""How many documents a converter dropped, by reason."""


# ---------------------------------------------------------------- reading


def read_documents(path: str | os.PathLike[str]) -> Iterator[str]:
    r"""The documents of a corpus file, one a line, without line ends; blank lines are skipped.

    Lines end at `\n` alone: a document may hold U+2028, U+0085 and the like.

    Raises:
        UserError: the file is missing, is a folder, or is not UTF-8 (file and line named).
    """
    with open_input(path) as file:
        yield from _documents_of(file, os.fspath(path))


def read_lines(path: str | os.PathLike[str]) -> Iterator[str]:
    """`read_documents`, blank lines too."""
    with open_input(path) as file:
        yield from _lines_of(file, os.fspath(path))


def open_input(path: str | os.PathLike[str]) -> IO[bytes]:
    """Open a user's file for reading bytes; `UserError` says why it cannot be."""
    if os.path.isdir(path):
        raise UserError(f"{os.fspath(path)} is a folder: name a text file in it")
    try:
        return open(path, "rb")
    except OSError as error:
        reason = f"cannot read {os.fspath(path)}: {error.strerror}"
        raise UserError(f"{reason}: check the name and the permissions") from error


def prepare_output(out: Path, others: Sequence[Path] = ()) -> None:
    """Make the folder of a file to be written, and refuse early what would fail late.

    Raises:
        UserError: `out` is a folder, is one of `others` (inputs, or another output), or
            its folder cannot be made or written to.
    """
    if out.is_dir():
        raise UserError(f"{out} is a folder: name a file to write")
    for other in others:
        same = out.exists() and other.exists() and out.samefile(other)
        if same or os.path.realpath(out) == os.path.realpath(other):
            raise UserError(f"{out} is also named as another file of this command: name another")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {out.parent}: {error.strerror}") from error
    if not os.access(out.parent, os.W_OK):
        raise UserError(f"cannot write to the folder {out.parent}: name another output")


def require_documents(documents: Iterable[str], name: str) -> Iterator[str]:
    """Pass the documents on; `UserError` when there is none, calling the corpus `name`."""
    iterator = iter(documents)
    try:
        first = next(iterator)
    except StopIteration:
        raise UserError(
            f"{name} holds no document: put text into it, one document a line"
        ) from None
    return itertools.chain([first], iterator)


def in_chunks(documents: Iterable[str], characters: int = 4_000_000) -> Iterator[list[str]]:
    """Documents in lists of about so many characters, and of one document at least."""
    chunk: list[str] = []
    size = 0
    for document in documents:
        chunk.append(document)
        size += len(document)
        if size >= characters:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _documents_of(file: Iterable[bytes], name: str) -> Iterator[str]:
    for line in _lines_of(file, name):
        if line and not line.isspace():
            yield line


def _lines_of(file: Iterable[bytes], name: str) -> Iterator[str]:
    for number, raw in enumerate(file, start=1):
        if number == 1:
            raw = raw.removeprefix(BOM)
        try:
            yield raw.rstrip(b"\r\n").decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{name}, line {number}: byte {raw[error.start]:#04x} is not UTF-8: "
                "convert the file, for example with iconv -f LATIN1 -t UTF-8"
            ) from error


# ---------------------------------------------------------------- conversations


def conversation(turns: Iterable[str]) -> str:
    """One document out of the turns of a conversation, the user's first, then in turn.

    Whitespace becomes single spaces. A marker that stands literally in a turn loses
    its meaning and stays readable: `<|user|>` becomes `< |user|>`.
    """
    return _marked(" ".join(turn.split()) for turn in turns)


def long_conversation(turns: Iterable[str]) -> str:
    """`conversation` of turns that keep their lines, as `on_one_line` writes them."""
    return _marked(on_one_line(turn) for turn in turns)


def on_one_line(text: str) -> str:
    """Text of several lines as one that can be read as it was: line breaks become `↵`.

    Lines keep their indentation (a tab to columns of four); between words, whitespace
    becomes single spaces. Of empty lines in a row one stays; those around the text go.
    A `↵` that stood in the text becomes `⏎`.
    """
    kept: list[str] = []
    for line in text.replace(LINE_BREAK, "⏎").splitlines():
        words = " ".join(line.split())
        if words:
            indent = len(line) - len(line.lstrip())
            kept.append(" " * len(line[:indent].expandtabs(4)) + words)
        elif kept and kept[-1]:
            kept.append("")
    return LINE_BREAK.join(kept).strip(LINE_BREAK + " ")


def _marked(turns: Iterable[str]) -> str:
    """Turns of one line each with their markers before them."""
    markers = itertools.cycle((USER, ASSISTANT))
    return " ".join(
        f"{marker} {_harmless(turn)}" for marker, turn in zip(markers, turns, strict=False)
    )


def _harmless(text: str) -> str:
    """Text with no marker in it, that a UTF-8 file can hold."""
    # JSON can spell half a surrogate pair.
    return _OPENING.sub("< ", text.encode("utf-8", "replace").decode("utf-8"))


# ---------------------------------------------------------------- converters


def chitchat_documents(dropped: Dropped | None = None) -> Iterator[str]:
    """The conversations of the pip package `chitchat-dataset`, in the order of their ids.

    Messages that one person sends in a row are one turn. Conversations in which only
    one person says anything are dropped, and counted in `dropped`.

    Raises:
        UserError: the package is not installed, or its data cannot be read.
    """
    conversations = _load_chitchat()
    for key in sorted(conversations):
        turns = _joined_turns(conversations[key]["messages"])
        if len(turns) >= 2:
            yield conversation(turns)
        elif dropped is not None:
            dropped["one-sided"] += 1


def chitchat_path() -> Path:
    """Where the data of the pip package `chitchat-dataset` lies; `UserError` without it."""
    spec = importlib.util.find_spec("chitchat_dataset")
    if spec is None or spec.origin is None:
        raise UserError(
            "the chitchat corpus is not installed: python -m pip install chitchat-dataset"
        )
    return Path(spec.origin).with_name("dataset.json")


def _load_chitchat() -> dict[str, Any]:
    # The package's own loader decodes by the locale, so its data is read directly.
    path = chitchat_path()
    try:
        conversations: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot read {path}: python -m pip install --force-reinstall chitchat-dataset"
        ) from error
    return conversations


def _joined_turns(groups: Iterable[Iterable[dict[str, str]]]) -> list[str]:
    """Turns of alternating speakers, out of chitchat's groups of messages."""
    messages = (m for m in itertools.chain.from_iterable(groups) if m["text"].strip())
    by_sender = itertools.groupby(messages, key=lambda message: message["sender"])
    return [" ".join(message["text"] for message in turn) for _, turn in by_sender]


def dailydialog_documents(
    path: str | os.PathLike[str], dropped: Dropped | None = None
) -> Iterator[str]:
    """The dialogues of DailyDialog: a text file, or a zip with such files or zips in it.

    A line is a dialogue, `__eou__` ends an utterance, speakers alternate. Of a zip, the
    files `dialogues_*.txt` with text are read (not those with labels), and
    `dialogues_text.txt`, which repeats the others, only where it is alone. Dialogues
    of fewer than two utterances are dropped, and counted in `dropped`.

    Raises:
        UserError: not UTF-8, a damaged zip, no dialogues in it.
    """
    name = os.fspath(path)
    with open_input(path) as file:
        if not zipfile.is_zipfile(file):
            file.seek(0)
            yield from _dialogues(file, name, dropped)
            return
        try:
            yield from _zipped_dialogues(file, name, dropped, depth=1)
        # What zipfile raises for damage, for a password, for an unknown compression.
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise UserError(f"cannot unpack {name}: {error}: fetch it again") from error


def _zipped_dialogues(
    file: IO[bytes], name: str, dropped: Dropped | None, depth: int
) -> Iterator[str]:
    with zipfile.ZipFile(file) as archive:
        members = _dialogue_members(archive.namelist())
        if not members:
            raise UserError(f"{name} holds no dialogues_*.txt: is it DailyDialog?")
        for member in members:
            with archive.open(member) as inner:
                if not member.endswith(".zip"):
                    yield from _dialogues(inner, f"{name}/{member}", dropped)
                elif depth < _MAX_ZIP_DEPTH:
                    yield from _zipped_dialogues(inner, f"{name}/{member}", dropped, depth + 1)


def _dialogue_members(names: Iterable[str]) -> list[str]:
    """Members of a DailyDialog zip that hold dialogues, whole text last and only if alone."""
    chosen, whole = [], []
    for name in sorted(names):
        base = PurePosixPath(name).name
        if "__MACOSX" in name or base.startswith("."):
            continue
        if base == "dialogues_text.txt":
            whole.append(name)
        elif base.endswith(".zip") or re.fullmatch(r"dialogues_(?!act|emotion|topic).*\.txt", base):
            chosen.append(name)
    return chosen or whole


def _dialogues(file: IO[bytes], name: str, dropped: Dropped | None) -> Iterator[str]:
    recognised = False
    for line in _documents_of(file, name):
        recognised = recognised or _EOU in line
        utterances = [part for part in line.split(_EOU) if part.strip()]
        if len(utterances) >= 2:
            yield conversation(utterances)
        elif dropped is not None:
            dropped["fewer than two turns"] += 1
    if not recognised:
        raise UserError(f"{name} has no {_EOU} in it: it is not a text of DailyDialog")


# ---------------------------------------------------------------- whole corpora


@dataclass(frozen=True)
class CorpusSummary:
    """What one pass over a corpus tells."""

    hash: str
    """Hex digest of the documents in their order; equal for equal content only."""
    documents: int
    bytes: int
    """UTF-8 bytes of the documents, line ends not counted."""
    characters: int
    """Unicode characters of the documents."""


class Summing:
    """A `CorpusSummary` in the making, document by document."""

    def __init__(self) -> None:
        self._digest = hashlib.blake2b(digest_size=16)
        self._documents = self._bytes = self._characters = 0

    def add(self, document: str) -> None:
        """Count a document."""
        raw = document.encode("utf-8")
        # The length in front keeps ["ab"] and ["a", "b"] apart.
        self._digest.update(len(raw).to_bytes(8, "little"))
        self._digest.update(raw)
        self._documents += 1
        self._bytes += len(raw)
        self._characters += len(document)

    def summary(self) -> CorpusSummary:
        """Of the documents so far."""
        return CorpusSummary(
            self._digest.hexdigest(), self._documents, self._bytes, self._characters
        )


def summarize(documents: Iterable[str]) -> CorpusSummary:
    """Hash and measure a corpus in one pass."""
    summing = Summing()
    for document in documents:
        summing.add(document)
    return summing.summary()


def corpus_hash(documents: Iterable[str]) -> str:
    """Hex digest of the documents in their order."""
    return summarize(documents).hash


def deduplicate(documents: Iterable[str], dropped: Dropped | None = None) -> Iterator[str]:
    """The documents without exact repetitions, the first of each kept."""
    seen: set[bytes] = set()
    for document in documents:
        digest = hashlib.blake2b(document.encode("utf-8"), digest_size=16).digest()
        if digest not in seen:
            seen.add(digest)
            yield document
        elif dropped is not None:
            dropped["duplicate"] += 1


# ---------------------------------------------------------------- validation split


def is_validation(document: str, fraction: float) -> bool:
    """Whether the document is held out when about `fraction` of all documents are.

    A function of the text alone. A document that is held out at one fraction is held
    out at every larger one.

    Raises:
        UserError: `fraction` is not in [0, 1).
    """
    check_fraction(fraction)
    digest = hashlib.blake2b(document.encode("utf-8"), digest_size=8).digest()
    return int.from_bytes(digest, "little") < fraction * 2.0**64


def check_fraction(fraction: float) -> None:
    """`UserError` unless `fraction` can be the share of a validation split."""
    if not 0.0 <= fraction < 1.0:
        raise UserError(f"the validation fraction must be in [0, 1), not {fraction}")


def training_split(documents: Iterable[str], fraction: float) -> Iterator[str]:
    """The documents that are not held out for validation."""
    return (document for document in documents if not is_validation(document, fraction))


def validation_split(documents: Iterable[str], fraction: float) -> Iterator[str]:
    """The documents that are held out for validation."""
    return (document for document in documents if is_validation(document, fraction))
