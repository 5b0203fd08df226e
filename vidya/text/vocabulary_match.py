"""One vocabulary in the words of another: which old tokens spell each new one."""

from __future__ import annotations

from dataclasses import dataclass

from vidya.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Spelling:
    """How the tokens of a new vocabulary are made of those of an old one."""

    pieces: list[list[int]]
    """For each new token, the old tokens that spell it."""
    old_size: int
    """Tokens of the old vocabulary."""

    @property
    def carried(self) -> int:
        """New tokens that the old vocabulary has too."""
        return sum(len(ids) == 1 for ids in self.pieces)

    @property
    def composed(self) -> int:
        """New tokens that several old ones spell: bytes spell everything."""
        return len(self.pieces) - self.carried

    @property
    def left_behind(self) -> int:
        """Old tokens that the new vocabulary does not have."""
        return self.old_size - self.carried


def spell(old: Tokenizer, new: Tokenizer) -> Spelling:
    """Each token of `new` in tokens of `old`, by the bytes that they stand for."""
    own, others = ((one.bos_id, one.user_id, one.assistant_id) for one in (new, old))
    markers = dict(zip(own, others, strict=True))
    known = {old.decode_bytes([i]): i for i in range(old.vocab_size) if i not in old.special_ids}
    pieces = []
    for token in range(new.vocab_size):
        if token in markers:
            pieces.append([markers[token]])
            continue
        text = new.decode_bytes([token])
        pieces.append([known[text]] if text in known else _pieces(text, known, old))
    return Spelling(pieces, old.vocab_size)


def _pieces(text: bytes, known: dict[bytes, int], old: Tokenizer) -> list[int]:
    """The old tokens that `old` would encode bytes as; single bytes if it has no text for them."""
    try:
        ids = old.encode_text(text.decode("utf-8"))
    except UnicodeDecodeError:
        ids = []
    # also of what the old normaliser takes out
    return ids or [known[bytes([byte])] for byte in text]
