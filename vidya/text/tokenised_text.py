"""Files of tokenised text: told by their beginning, and written as people write.

A file is tokenised where most full stops and commas have a space before them. Question and
exclamation marks say nothing: they have one in French.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator

from vidya.terminal.formatting import plural
from vidya.text.natural_spacing import natural_document

_ENOUGH_MARKS = 3
"""Marks with a space before them, from which on text may be called tokenised."""
_SHARE = 0.5
"""Of all full stops and commas behind a word, which then have a space before them."""
_LOOKED_AT, _CHARACTERS = 2_000, 1_000_000
"""Texts, and characters of them, that are looked at for that."""
_TOLD = 0.05
"""Share of a corpus' documents that are tokenised, from which on that is told."""
MENDED_BY = "python -m vidya.data text FILE --out FILE"
WHAT_IT_IS = "written with spaces around its marks, as tokenised text is"

_APART = re.compile(r"[\w'\")\]] [.,](?= |$)")
_CLOSE = re.compile(r"[\w'\")\]][.,](?= |$)")


def is_tokenised(texts: Iterable[str]) -> bool:
    """Whether most full stops and commas of the first texts have a space before them."""
    marks = SpacedMarks()
    for text in itertools.takewhile(lambda _: not marks.enough, texts):
        marks.look(text)
    return marks.most


class SpacedMarks:
    """Full stops and commas of the first texts of a file, with a space before them and without."""

    def __init__(self) -> None:
        self._apart = self._close = self._texts = self._characters = 0

    @property
    def enough(self) -> bool:
        """Whether so much was seen that more is not looked at."""
        return self._texts >= _LOOKED_AT or self._characters >= _CHARACTERS

    @property
    def most(self) -> bool:
        """Whether most have a space, and there are enough of them to tell."""
        return self._apart >= _ENOUGH_MARKS and self._apart > _SHARE * (self._apart + self._close)

    def look(self, text: str) -> None:
        """Count a text, if there is still something to be learnt."""
        if self.enough:
            return
        text = text[: _CHARACTERS - self._characters]
        self._texts += 1
        self._characters += len(text)
        self._apart += len(_APART.findall(text))
        self._close += len(_CLOSE.findall(text))


def restored(
    documents: Iterable[str], name: str, tell: Callable[[str], None], taken: str = "written"
) -> Iterator[str]:
    """The documents of a file, with the spaces that people write if its beginning has others.

    Args:
        documents: of which memory holds so many as are looked at.
        name: what `tell` calls the file.
        tell: takes a line at the end about a file that was changed.
        taken: what is done with the documents.
    """
    marks, first = SpacedMarks(), []
    iterator = iter(documents)
    while not marks.enough and (document := next(iterator, None)) is not None:
        marks.look(document)
        first.append(document)
    together = itertools.chain(first, iterator)
    if not marks.most:
        yield from together
        return
    changed = 0
    for document in together:
        natural = natural_document(document)
        changed += natural != document
        yield natural
    tell(
        f"{name}: {WHAT_IT_IS}: {plural(changed, 'document')} {taken} as people write "
        f"{'it' if changed == 1 else 'them'} (--as-is keeps {'it' if changed == 1 else 'them'})"
    )


class TokenisedDocuments:
    """The tokenised documents of a corpus that is taken as it stands, counted in passing."""

    def __init__(self) -> None:
        self._documents = self._tokenised = 0

    def look(self, document: str) -> None:
        """Count a document; quick where no mark has a space before it."""
        self._documents += 1
        if " ," in document or " ." in document:
            apart, close = len(_APART.findall(document)), len(_CLOSE.findall(document))
            self._tokenised += apart > _SHARE * (apart + close)

    def passing(self, documents: Iterable[str]) -> Iterator[str]:
        """Count documents on their way."""
        for document in documents:
            self.look(document)
            yield document

    def line(self, name: str) -> str | None:
        """A line about the corpus `name`; None for one that is as people write."""
        if self._tokenised < max(_ENOUGH_MARKS, _TOLD * self._documents):
            return None
        return (
            f"{self._tokenised:,} of the {self._documents:,} documents of {name} are {WHAT_IT_IS}: "
            f"{MENDED_BY} writes them as people do"
        )
