"""Conversations as lists of messages: UltraChat, and every file laid out like it.

- A conversation is a row of a parquet file, or a line of a JSONL file (plain or gzip),
  that has `messages`: a list of `{"role": "user" or "assistant", "content": text}`.
- What is read is told from the first bytes of the file, not from its name.
- Parquet is read row group by row group and JSONL line by line: memory holds a few
  hundred conversations, however long the file is.
- A line of JSON that is none is an error that names file and line. A conversation that
  cannot be used is dropped, and counted by reason.
"""

from __future__ import annotations

import gzip
import itertools
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

from vidya.errors import UserError
from vidya.system.atomic_file import StrPath
from vidya.text import conversation_format, corpus_file
from vidya.text.corpus_file import Dropped

COLUMN = "messages"
_ROLES = ("user", "assistant")
_PARQUET, _GZIP, _ZSTD = b"PAR1", b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_ROWS = 256
"""Rows of parquet that become Python objects at a time."""
_BUFFER = 1 << 20
Left = Dropped
"""How many messages were left out of conversations that were kept, by reason."""


def ultrachat_documents(
    path: StrPath, dropped: Dropped | None = None, left_out: Left | None = None
) -> Iterator[str]:
    """The conversations of a parquet or JSONL file, as documents (`corpus.long_conversation`).

    Args:
        path: the file.
        dropped: counts conversations that could not be used.
        left_out: counts messages left out of those that could.

    Raises:
        UserError: not such a file, a damaged one, no pyarrow to read parquet with.
    """
    dropped = Dropped() if dropped is None else dropped
    left_out = Left() if left_out is None else left_out
    for messages in _conversations(path):
        try:
            turns = usable_turns(messages, left_out)
        except ValueError as error:
            dropped[str(error)] += 1
        else:
            yield conversation_format.long_conversation(turns)


def usable_turns(messages: object, left_out: Left) -> list[str]:
    """The turns of a conversation, the user's first, then in turn; two at least.

    Left out, and counted in `left_out`: a system message at the head, messages of nothing
    but space, and what the assistant says before the user has said anything. Messages
    that one role sends in a row are one turn, a paragraph each.

    Raises:
        ValueError: the conversation cannot be used; the message is the reason.
    """
    if not isinstance(messages, list):
        raise ValueError(f"without a list of {COLUMN}")
    some = [_role_and_text(message) for message in messages]
    if some and some[0][0] == "system":
        some = some[1:]
        left_out["system message"] += 1
    if any(role not in _ROLES for role, _ in some):
        raise ValueError("with an unknown role")
    spoken = [(role, text) for role, text in some if text.strip()]
    left_out["empty message"] += len(some) - len(spoken)
    from_user = list(itertools.dropwhile(lambda message: message[0] != "user", spoken))
    if len(from_user) < 2 or all(role == "user" for role, _ in from_user):
        raise ValueError("without a reply to the user")
    left_out["message before the user's first"] += len(spoken) - len(from_user)
    by_role = itertools.groupby(from_user, key=lambda message: message[0])
    return ["\n\n".join(text for _, text in turn) for _, turn in by_role]


def _role_and_text(message: object) -> tuple[str, str]:
    if not isinstance(message, dict):
        raise ValueError("with a message that is no object")
    role, text = message.get("role"), message.get("content")
    if not isinstance(role, str) or not isinstance(text, str):
        raise ValueError("with a message without role and content as text")
    return role, text


def _conversations(path: StrPath) -> Iterator[object]:
    """What stands under `messages` in each row or line of a file."""
    name = os.fspath(path)
    with corpus_file.open_input(path) as file:
        magic = file.read(4)
        file.seek(0)
        if magic == _PARQUET:
            yield from _of_parquet(file, name)
        elif magic == _ZSTD:
            raise UserError(f"{name} is packed with zstd: unpack it with zstd -d")
        elif magic.startswith(_GZIP):
            try:
                with gzip.open(file) as unpacked:
                    yield from _of_lines(unpacked, name)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise UserError(f"cannot unpack {name}: {error}: fetch it again") from error
        else:
            yield from _of_lines(file, name)


def _of_lines(file: Iterable[bytes], name: str) -> Iterator[object]:
    for number, raw in enumerate(file, start=1):
        if number == 1:
            raw = raw.removeprefix(corpus_file.BOM)
        if not raw.strip():
            continue
        try:
            row = json.loads(raw.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            reason = "UTF-8" if isinstance(error, UnicodeDecodeError) else "JSON"
            raise UserError(
                f"{name}, line {number}: not {reason} ({error}): every line must be one JSON "
                f"object with {COLUMN}; jq -c '.[]' FILE makes such lines of a JSON list"
            ) from error
        if not isinstance(row, dict) or COLUMN not in row:
            raise UserError(
                f"{name}, line {number}: no JSON object with {COLUMN}, a list of role and content"
                + (f": it has {', '.join(sorted(map(repr, row)))}" if isinstance(row, dict) else "")
            )
        yield row[COLUMN]


def _of_parquet(file: IO[bytes], name: str) -> Iterator[object]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UserError(f"{name} is parquet, which needs: python -m pip install pyarrow") from error
    try:
        # A buffer, or a whole column of a row group would be read into memory at once.
        table = pyarrow.parquet.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False)
        _check_schema(table.schema_arrow, name)
        for rows in table.iter_batches(_ROWS, columns=[COLUMN], use_threads=False):
            yield from rows.column(0).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"cannot read {name} ({reason}): fetch it again") from error


def _check_schema(schema: Any, name: str) -> None:
    """`UserError` unless a table has conversations in it."""
    import pyarrow.types

    columns: Sequence[str] = schema.names
    if COLUMN not in columns:
        raise UserError(
            f"{name} has no column {COLUMN}, but {', '.join(columns) or 'none'}: "
            f"{COLUMN} must be a list of role and content"
        )
    kind = schema.field(COLUMN).type
    item = getattr(kind, "value_type", None)
    found = {}
    if item is not None and pyarrow.types.is_struct(item):
        found = {field.name: str(field.type) for field in item}
    if any(found.get(key) not in ("string", "large_string") for key in ("role", "content")):
        raise UserError(
            f"{name}: column {COLUMN} is {kind}: it must be a list of structs with the texts "
            "role and content"
        )
