"""Which documents of a corpus are held out: a function of each text alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from vidya.errors import UserError


def is_held_out(document: str, fraction: float) -> bool:
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
    """`UserError` unless `fraction` can be the share of the documents that are held out."""
    if not 0.0 <= fraction < 1.0:
        raise UserError(f"the held-out fraction must be in [0, 1), not {fraction}")


def training_documents(documents: Iterable[str], fraction: float) -> Iterator[str]:
    """The documents that are not held out."""
    return (document for document in documents if not is_held_out(document, fraction))


def held_out_documents(documents: Iterable[str], fraction: float) -> Iterator[str]:
    """The documents that are held out."""
    return (document for document in documents if is_held_out(document, fraction))
