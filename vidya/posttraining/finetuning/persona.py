"""What a model is to become: texts as tokens that say which of them are to be learnt.

A file that has a reply in it (`<|assistant|>`) is read as conversations, a line each, and
of these the assistant's words count, with the marker that ends each reply. Any other file
is plain text, such as a book: passages of which every token counts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vidya.errors import UserError
from vidya.measuring.taught_recall import Question, questions_of
from vidya.model.transformer import Model
from vidya.terminal.formatting import plural
from vidya.text.batch_plan import eval_batches
from vidya.text.conversation_format import ASSISTANT, LINE_BREAK
from vidya.text.corpus_file import read_documents, require_documents
from vidya.text.corpus_summary import corpus_hash
from vidya.text.held_out_split import is_held_out
from vidya.text.plain_text import text_documents
from vidya.text.token_documents import TokenDocuments
from vidya.text.tokenizer import Tokenizer

Loss = Literal["assistant", "all"]
"""Whose words count in conversations: the assistant's, or everybody's."""


@dataclass(frozen=True)
class Persona:
    """All that was given: what is taught, what is held out, and what can be asked."""

    taught: TokenDocuments
    held_out: TokenDocuments | None
    """None where nothing was held out."""
    questions: list[Question]
    """Questions that the taught conversations answer."""
    conversations: bool
    """Whether there is a conversation in it."""
    about: list[str]
    """A line for each file and one for all: what they were taken for."""
    hash: str
    """Hash of all documents in their order."""


def read_persona(
    paths: Sequence[Path], tokenizer: Tokenizer, *, loss: Loss = "assistant", val_fraction: float
) -> Persona:
    """Read files, decide what each is, and hold some of their documents out.

    Args:
        paths: conversations, a line each, or plain text.
        tokenizer: of the model to be taught.
        loss: whose words count in conversations.
        val_fraction: share of the documents to hold out, chosen by a hash of their text; a
            small file may have none of them.

    Raises:
        UserError: a file cannot be read, is not UTF-8 or is empty, or everything would be
            held out.
    """
    documents: list[str] = []
    about = []
    for path in paths:
        found, what = _read(path, loss)
        documents += found
        about.append(f"{path}: {what}")
    parts: dict[bool, list[str]] = {True: [], False: []}
    for document in documents:
        parts[is_held_out(document, val_fraction)].append(document)
    if not parts[False]:
        raise UserError("nothing is left to be taught: give a smaller --val-fraction")
    taught, held_out = (_encode(parts[held], tokenizer, loss) for held in (False, True))
    questions = questions_of(parts[False])
    about.append(_counts(taught, held_out, questions))
    return Persona(
        taught,
        held_out if held_out.documents else None,
        questions,
        any(ASSISTANT in document for document in documents),
        about,
        corpus_hash(documents),
    )


def mean_loss(model: Model, documents: TokenDocuments) -> float:
    """Mean loss of the tokens that count, in nats, without dropout."""
    nats, tokens = 0.0, 0
    for batch in eval_batches(documents, model.config.context, model.max_tokens):
        nats += float(model.losses(batch).sum(dtype=np.float64))
        tokens += int(np.count_nonzero(batch.targets >= 0))
    return nats / max(1, tokens)


def _read(path: Path, loss: Loss) -> tuple[list[str], str]:
    """The documents of a file, and what it was taken for."""
    lines = list(require_documents(read_documents(path), str(path)))
    replying = sum(ASSISTANT in line for line in lines)
    if not replying:
        passages = list(text_documents(path, "passage"))
        return passages, f"plain text, {plural(len(passages), 'passage')}; every token counts"
    what = plural(replying, "conversation")
    if replying < len(lines):
        what += f" and {len(lines) - replying:,} other lines, of which every token counts"
    whose = "the assistant's words count" if loss == "assistant" else "every token counts"
    return lines, f"{what}; {whose}"


def _encode(documents: Sequence[str], tokenizer: Tokenizer, loss: Loss) -> TokenDocuments:
    if len(tokenizer.encode_text(LINE_BREAK)) > 1:
        # of a corpus without lines: it would spell the sign in bytes
        documents = [document.replace(LINE_BREAK, " ") for document in documents]
    encoded = tokenizer.encode_documents(documents) if documents else []
    counted = [_counted(ids, tokenizer, loss) for ids in encoded]
    return dataclasses.replace(
        TokenDocuments.joined(encoded),
        counted=np.concatenate([np.zeros(0, np.bool_), *counted]),
    )


def _counted(ids: NDArray[np.uint16], tokenizer: Tokenizer, loss: Loss) -> NDArray[np.bool_]:
    """Which ids of a document count: all, or those that the assistant says.

    These are the ones after its marker, up to the next marker, which ends the reply.
    """
    if loss == "all" or tokenizer.assistant_id not in ids:
        return np.ones(len(ids), np.bool_)
    marked = np.isin(ids, list(tokenizer.special_ids))
    latest = np.maximum.accumulate(np.where(marked, np.arange(len(ids)), 0))
    speaking = ids[latest] == tokenizer.assistant_id
    return np.concatenate([[False], speaking[:-1]])


def _counts(taught: TokenDocuments, held_out: TokenDocuments, questions: list[Question]) -> str:
    """How much is taught and held out, and what that means for the questions."""
    held = f"{held_out.documents:,} held out" if held_out.documents else "nothing held out"
    assert taught.counted is not None
    line = (
        f"taught: {taught.documents:,} documents, {np.count_nonzero(taught.counted):,} tokens "
        f"that count, {len(questions):,} questions; {held}"
    )
    several = sum(len(question.answers) > 1 for question in questions)
    if several:
        line += (
            f"; {several:,} of the questions have more than one answer: the model can give "
            "only one of them, and any of them is right"
        )
    return line
