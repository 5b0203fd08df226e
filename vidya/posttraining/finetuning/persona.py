"""What a model is to become: texts as tokens that say which of them are to be learnt.

A file in which somebody is marked to speak is read as conversations, whatever their layout
(vidya/text/conversation_layouts.py); of these the assistant's words count, with the marker that
ends each reply. Any other file is plain text, such as a book: passages of which every token counts.
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
from vidya.measuring.taught_recall import MOST_TOKENS, Question, questions_of
from vidya.model.transformer import Model
from vidya.posttraining.finetuning.persona_files import PersonaDocument, read_persona_file
from vidya.terminal.formatting import plural
from vidya.text.batch_plan import eval_batches
from vidya.text.conversation_format import ASSISTANT, LINE_BREAK, conversation, turns_of
from vidya.text.corpus_summary import corpus_hash
from vidya.text.held_out_split import is_held_out
from vidya.text.natural_spacing import natural_document
from vidya.text.token_documents import TokenDocuments
from vidya.text.tokenised_text import is_tokenised
from vidya.text.tokenizer import Tokenizer

Loss = Literal["assistant", "all"]
"""Whose words count in conversations: the assistant's, or everybody's."""
HELD_OUT = 0.1
"""Share of a persona's documents that is held out where nobody says another."""
FEWEST_CONVERSATIONS = 1_000
"""Of fewer documents, if there are conversations among them, none is held out: each is an answer
that somebody wants to hear, and how much is known in other words says more than a loss."""
FEWEST_PASSAGES = 10
"""Of fewer passages of plain text none is held out."""


@dataclass(frozen=True)
class Persona:
    """All that was given: what is taught, what is held out, and what can be asked."""

    taught: TokenDocuments
    held_out: TokenDocuments | None
    """None where nothing was held out."""
    questions: list[Question]
    """Questions that the taught conversations answer."""
    questions_held_out: int
    """Number of questions of the documents held out."""
    never_asked: int
    """Number of documents whose answers nobody can ask for."""
    conversations: bool
    """Whether there is a conversation in it."""
    val_fraction: float
    """Share of the documents that was to be held out."""
    about: list[str]
    """Lines for each file and one for all: what they were taken for, and what was done."""
    hash: str
    """Hash of all documents in their order."""

    def left_out(self, asked: int) -> str:
        """What a score over `asked` of the questions says nothing about; nothing if it says all."""
        parts = [
            f"{self.questions_held_out:,} more held out" * bool(self.questions_held_out),
            f"{len(self.questions) - asked:,} more not asked" * (asked < len(self.questions)),
            f"{self.never_asked:,} that cannot be asked" * bool(self.never_asked),
        ]
        return ", ".join(filter(None, parts))


def read_persona(
    paths: Sequence[Path],
    tokenizer: Tokenizer,
    *,
    loss: Loss = "assistant",
    val_fraction: float | None = None,
    context: int | None = None,
    as_is: bool = False,
) -> Persona:
    """Read files, decide what each is, and hold some of their documents out.

    Args:
        paths: conversations or plain text.
        tokenizer: of the model to be taught.
        loss: whose words count in conversations.
        val_fraction: share of the documents to hold out, chosen by a hash of their text.
            None: `HELD_OUT`, but nothing of a small persona (`FEWEST_CONVERSATIONS`).
        context: tokens that the model sees at one time, to tell of longer documents.
        as_is: keep the spaces around marks of files of tokenised text.

    Raises:
        UserError: a file cannot be read, is not text or is empty, nothing in it is to be
            learnt, or everything would be held out.
    """
    documents: list[PersonaDocument] = []
    about = []
    for path in paths:
        found, lines = read_persona_file(path, loss)
        # a model of an older tokenizer learns text as it stands, as it always did
        if not as_is and tokenizer.normalises and is_tokenised(one.text for one in found):
            found = [one._replace(text=natural_document(one.text)) for one in found]
            lines.append(
                f"{path}: “how are you ?” is taught as “how are you?”, as people write it "
                "(--as-is keeps the spaces)"
            )
        documents += found
        about += lines
    talks = any(ASSISTANT in one.text for one in documents)
    fewest = FEWEST_CONVERSATIONS if talks else FEWEST_PASSAGES
    small = len(documents) < fewest
    fraction = val_fraction if val_fraction is not None else 0.0 if small else HELD_OUT
    parts: dict[bool, list[PersonaDocument]] = {True: [], False: []}
    for one in documents:
        parts[is_held_out(one.text, fraction)].append(one)
    if not parts[False]:
        raise UserError(
            f"--val-fraction {fraction:g} holds out all {len(documents):,} of the documents, and "
            "nothing is left to be taught: give a smaller --val-fraction, or leave it out"
        )
    taught, held_out = (_encode(parts[held], tokenizer, loss) for held in (False, True))
    questions, asked_apart = (
        questions_of(one.text for one in parts[held] if one.fault is None or one.partly_asked)
        for held in (False, True)
    )
    if context is not None:
        about += _too_long(parts[False], taught, context)
    if repeated := len(documents) - len({one.text for one in documents}):
        about.append(
            f"{plural(repeated, 'document')} of which the same words stood before, and which "
            "count once more"
        )
    if unheard := sum(_is_unheard(question, tokenizer) for question in questions):
        about.append(
            f"{plural(unheard, 'question')} with an answer of more than {MOST_TOKENS} tokens, of "
            "which a score hears no more: they may not count as answered"
        )
    if not held_out.documents and val_fraction:
        about.append(f"none of the documents falls into the --val-fraction of {fraction:g}")
    about.append(_counts(taught, held_out, questions))
    return Persona(
        taught,
        held_out if held_out.documents else None,
        questions,
        len(asked_apart),
        sum(one.fault is not None and not one.partly_asked for one in documents if talks),
        talks,
        fraction,
        about,
        corpus_hash([one.text for one in documents]),
    )


def mean_loss(model: Model, documents: TokenDocuments) -> float:
    """Mean loss of the tokens that count, in nats, without dropout."""
    nats, tokens = 0.0, 0
    for batch in eval_batches(documents, model.config.context, model.max_tokens):
        nats += float(model.losses(batch).sum(dtype=np.float64))
        tokens += int(np.count_nonzero(batch.targets >= 0))
    return nats / max(1, tokens)


def _encode(
    documents: Sequence[PersonaDocument], tokenizer: Tokenizer, loss: Loss
) -> TokenDocuments:
    texts = [one.text for one in documents]
    if len(tokenizer.encode_text(LINE_BREAK)) > 1:
        # of a corpus without lines: it would spell the sign in bytes
        texts = [_without_lines(one) for one in documents]
    encoded = tokenizer.encode_documents(texts) if texts else []
    counted = [_counted(ids, tokenizer, loss) for ids in encoded]
    return dataclasses.replace(
        TokenDocuments.joined(encoded),
        counted=np.concatenate([np.zeros(0, np.bool_), *counted]),
    )


def _without_lines(document: PersonaDocument) -> str:
    """A document without line breaks, in the words in which chat asks for it."""
    asked = document.fault is None or document.partly_asked
    turns = turns_of(document.text) if asked else None
    return conversation(turns) if turns else document.text.replace(LINE_BREAK, " ")


def _too_long(
    documents: Sequence[PersonaDocument], tokens: TokenDocuments, context: int
) -> list[str]:
    """A line about conversations that are longer than the context, if there are any."""
    lengths = np.diff(tokens.offsets) - 1
    long = [
        one.line
        for one, length in zip(documents, lengths.tolist(), strict=True)
        if length > context and ASSISTANT in one.text
    ]
    if not long:
        return []
    return [
        f"{plural(len(long), 'conversation')} longer than the context of {context} tokens (the "
        f"first in line {long[0]:,}): what comes later in it is learnt without its beginning"
    ]


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


def _is_unheard(question: Question, tokenizer: Tokenizer) -> bool:
    """Whether all answers to a question are longer than what is heard of a reply to it."""
    return all(
        len(answer.encode("utf-8")) > MOST_TOKENS < len(tokenizer.encode_text(f" {answer}"))
        for answer in question.answers
    )


def _counts(taught: TokenDocuments, held_out: TokenDocuments, questions: list[Question]) -> str:
    """How much is taught and held out, and what that means for the questions."""
    held = (
        f"{held_out.documents:,} held out"
        if held_out.documents
        else "nothing held out (--val-fraction does)"
    )
    assert taught.counted is not None
    line = (
        f"taught: {plural(taught.documents, 'document')}, "
        f"{np.count_nonzero(taught.counted):,} tokens that count, "
        f"{plural(len(questions), 'question')}; {held}"
    )
    several = sum(len(question.answers) > 1 for question in questions)
    if several:
        line += (
            f"; {plural(several, 'question')} with more than one answer: the model can give "
            "only one of them, and any of them is right"
        )
    return line
