"""Documents of a corpus that are laid out in another way than chat asks, counted in passing.

A corpus is trained on as it stands. Markers without spaces, a turn a line or the marks of another
program are then other tokens than those that chat asks with, and the model answers badly.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from vidya.text.conversation_format import ASSISTANT, USER

_UNSPACED = re.compile(r"<\|(?:user|assistant)\|>[^ ]")  # without (?<= ), which would be slow
_SPELT = re.compile(
    r"[|｜]\s*(?:user|assistant)\s*\\?[|｜>]|<\s*(?:user|assistant)\s*[|｜]", re.IGNORECASE
)
_LABEL = re.compile(
    r"[\s\u200b-\u200f\ufeff*]*(?:user|human|assistant|ai|bot|q|a|question|answer|frage|antwort|réponse"
    r"|pregunta|respuesta|вопрос|ответ|(?:you|chatgpt) said|用户|助手|问|答|ユーザー|アシスタント)"
    r"\s?\d*(?:\*\*)?\s*[:：]", re.I,
)  # fmt: skip
_OTHERS = "<|im_start|>", "<|start_header_id|>", "[/INST]", "<start_of_turn>"
MENDED_BY = "python -m vidya.data chat FILE --out FILE"


def layout_fault(document: str) -> str | None:
    """What chat would not meet in a document that it asks for; None where there is nothing.

    Quick enough for every document of a large corpus.
    """
    user, assistant = USER in document, ASSISTANT in document
    if user and assistant:
        closed = document.count(ASSISTANT) != document.count(" " + ASSISTANT)
        return "no spaces around markers" if closed or _UNSPACED.search(document) else None
    if user or assistant:
        return "one turn alone"
    if _LABEL.match(document):
        return "labels such as User:"
    if ("|" in document or "｜" in document) and _SPELT.search(document):
        return "markers spelt in another way"
    return "marks of another program" if any(mark in document for mark in _OTHERS) else None


class LayoutCheck:
    """Counts the documents of a corpus that have a fault."""

    def __init__(self) -> None:
        self._documents = 0
        self._faults: Counter[str] = Counter()

    def look(self, document: str) -> None:
        """Count a document."""
        self._documents += 1
        if fault := layout_fault(document):
            self._faults[fault] += 1

    def passing(self, documents: Iterable[str]) -> Iterator[str]:
        """Count documents on their way."""
        for document in documents:
            self.look(document)
            yield document

    def line(self, name: str) -> str | None:
        """A line about the corpus `name`; None where there is nothing to tell.

        Labels are told where half of the documents begin so: in other texts there are some.
        """
        labels = "labels such as User:"
        if 2 * self._faults[labels] < self._documents:
            del self._faults[labels]
        if not self._faults:
            return None
        found = ", ".join(f"{count:,} {fault}" for fault, count in self._faults.most_common())
        return (
            f"{self._faults.total():,} of the {self._documents:,} documents of {name} are not "
            f"laid out as chat asks ({found}) and would be answered badly: {MENDED_BY} mends that"
        )
