"""How much of a held-out text is trained on as well, found out in bounded memory.

Every document is known by 8 bytes of its hash. Of a text with very many documents those are
watched whose hash lies below a limit, which is halved whenever there are too many: an even
sample, whatever the order.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

MOST = 200_000
"""Documents that are watched at one time."""
_ALL = 2**64


@dataclass(frozen=True)
class SharedDocuments:
    """Held-out documents that are trained on, too."""

    shared: int
    of: int
    """Held-out documents that were looked for: all, or a sample."""
    all: bool
    """Whether that is all of them."""

    def in_words(self, name: str) -> str:
        """What to tell of the held-out file `name`."""
        what = f"{self.shared:,} of its {self.of:,} documents ({self.shared / self.of:.1%}) are"
        if self.shared == self.of:
            what = "all of its documents are"
        elif not self.all:
            what = f"about {self.shared / self.of:.1%} of its documents are"
        return (
            f"{name}: {what} in the corpus as well, so the held-out loss is one of text that is "
            "trained on: python -m vidya.data combine FILE… --out FILE --val-out FILE divides text"
        )


@dataclass
class SharedDocumentsCounter:
    """First the held-out documents are noted, then those that are trained on looked up."""

    most: int = MOST
    _counts: dict[int, int] = field(default_factory=dict)
    _found: set[int] = field(default_factory=set)
    _limit: int = _ALL

    def note_held_out(self, document: str) -> None:
        """Note a document that is held out."""
        key = _key(document)
        if key >= self._limit:
            return
        self._counts[key] = self._counts.get(key, 0) + 1
        while len(self._counts) > self.most:
            self._limit //= 2
            self._counts = {key: n for key, n in self._counts.items() if key < self._limit}

    def look_up(self, document: str) -> None:
        """Look a document up that is trained on."""
        if (key := _key(document)) in self._counts:
            self._found.add(key)

    def result(self) -> SharedDocuments | None:
        """What was found; None if nothing is shared."""
        if not self._found:
            return None
        shared = sum(self._counts[key] for key in self._found)
        return SharedDocuments(shared, sum(self._counts.values()), self._limit == _ALL)


def _key(document: str) -> int:
    digest = hashlib.blake2b(document.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
