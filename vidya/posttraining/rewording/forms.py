"""Forms of a question: the ways in which a person may ask it, drawn by chance.

A taught question is learnt in many of them, so that what is learnt is the question and not its
letters. What is asked for, negation, persons, names and numbers stay in all of them. English has
tables of its own; other languages change case and marks alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Container

import numpy as np

from vidya.posttraining.rewording.chance import Weighted, happens
from vidya.posttraining.rewording.contractions import in_full, other_contractions
from vidya.posttraining.rewording.form_names import FORMS
from vidya.posttraining.rewording.frames import asked_another_way
from vidya.posttraining.rewording.letters import mistyped, other_case, other_marks, stretched
from vidya.posttraining.rewording.openings import with_ending, with_opening
from vidya.posttraining.rewording.sentence import is_english, is_greeting, wording
from vidya.posttraining.rewording.small_words import other_small_words
from vidya.posttraining.rewording.vocabulary import close_words, other_spelling, shorthand

_Change = Callable[[str, np.random.Generator], str]

_TEXT_FORMS: dict[str, _Change] = {
    "question_frames": asked_another_way,
    "close_words": close_words,
    "spelling": other_spelling,
    "articles": other_small_words,
    "openings": with_opening,
    "contractions": other_contractions,
    "chat_shorthand": shorthand,
    "typos": mistyped,
    "case": other_case,
    "punctuation": other_marks,
    "endings": with_ending,
    "stretching": stretched,
}
"""What is done to the text, in this order; vidya/posttraining/rewording/question_ids.py has what
is done to its tokens."""

_STYLES = Weighted(
    # somebody who writes with care
    (
        {
            "question_frames": 0.45, "close_words": 0.35, "spelling": 0.2, "articles": 0.15,
            "openings": 0.2, "contractions": 0.45, "case": 0.7, "punctuation": 0.4, "endings": 0.1,
            "stretching": 0.2,
        },
        0.4,
    ),
    # somebody who chats
    (
        {
            "question_frames": 0.4, "close_words": 0.3, "spelling": 0.3, "articles": 0.25,
            "openings": 0.2, "contractions": 0.6, "chat_shorthand": 0.25, "typos": 0.15,
            "case": 0.7, "punctuation": 0.8, "endings": 0.15, "stretching": 0.6,
        },
        0.4,
    ),
    # somebody in a hurry
    (
        {
            "question_frames": 0.35, "close_words": 0.2, "spelling": 0.3, "articles": 0.35,
            "openings": 0.15, "contractions": 0.7, "chat_shorthand": 0.8, "typos": 0.35,
            "case": 0.8, "punctuation": 0.9, "endings": 0.15, "stretching": 0.7,
        },
        0.2,
    ),
)  # fmt: skip
"""How likely each form is with some kinds of people, and how many of these there are."""
_AS_IT_STANDS = 0.12
_KEPT_FOR_MEASURING = 8
"""One in so many forms is never trained on."""
_KEPT_OF_FEW = 3
"""The same where words cannot change, and there are few forms."""
_GREETING_FORMS = frozenset(("case", "punctuation", "stretching"))
_ANY_LANGUAGE = frozenset(("case", "punctuation"))


def plain_wording(text: str) -> str:
    """What two texts have in common that differ in case, marks, spaces and contractions only."""
    return wording(in_full(text))


def reworded(
    question: str,
    rng: np.random.Generator,
    forms: Collection[str] = FORMS,
    *,
    avoid: Container[str] = frozenset(),
) -> str:
    """One form of a question, or now and then the question as it stands.

    Forms that `other_words` may give are never among them: what is measured was not trained on.

    Args:
        question: as it is taught.
        rng: decides; the same state gives the same form.
        forms: the names of those that may be used, of `FORMS`.
        avoid: questions with answers of their own, by their `plain_wording`: what is no form of
            this one. The question itself may be among them.
    """
    if happens(rng, _AS_IT_STANDS):
        return question
    for _ in range(4):
        form = _changed(question, rng, forms, avoid)
        if not _is_kept(form, question):
            return form
    return question


def other_words(
    question: str,
    count: int,
    seed: int,
    forms: Collection[str] = FORMS,
    *,
    avoid: Container[str] = frozenset(),
) -> list[str]:
    """Distinct forms of a question to measure with; fewer than `count` where there are no more.

    None is the question, and `reworded` gives none of them. Those that differ in their words come
    first, no two of them in case and marks alone.

    Args:
        question: as it is taught.
        count: how many.
        seed: other seeds give other forms.
        forms: the names of those that may be used, of `FORMS`.
        avoid: questions with answers of their own, by their `plain_wording`: what is no form of
            this one. The question itself may be among them.
    """
    digest = hashlib.blake2b(question.encode("utf-8", "replace"), digest_size=8).digest()
    rng = np.random.default_rng([seed, int.from_bytes(digest, "big")])
    found: dict[str, str] = {}
    alike: dict[str, str] = {}
    taught = wording(question)
    for _ in range(60 * count):
        form = _changed(question, rng, forms, avoid)
        if not _is_kept(form, question):
            continue
        key = wording(form)
        if key == taught:
            alike.setdefault(form, form)
        else:
            found.setdefault(key, form)
        if len(found) == count:
            break
    return [*found.values(), *alike.values()][:count]


def _changed(
    question: str, rng: np.random.Generator, forms: Collection[str], avoid: Container[str]
) -> str:
    if is_greeting(question):
        known: Collection[str] = _GREETING_FORMS
    elif is_english(question):
        known = _TEXT_FORMS
    else:
        known = _ANY_LANGUAGE
    style = _STYLES.draw(rng)
    chances = rng.random(len(_TEXT_FORMS)).tolist()
    text, own = question, plain_wording(question) if avoid else ""
    for (name, change), chance in zip(_TEXT_FORMS.items(), chances, strict=True):
        if chance < style.get(name, 0.0) and name in known and name in forms:
            changed = change(text, rng)
            if not avoid or (same := plain_wording(changed)) not in avoid or same == own:
                text = changed
    return text


def _is_kept(form: str, question: str) -> bool:
    """Whether a form is one of those that are kept for measuring."""
    if form == question:
        return False
    key, one_in = wording(form), _KEPT_FOR_MEASURING
    if key == wording(question):
        key = form
        if is_greeting(question) or not is_english(question):
            one_in = _KEPT_OF_FEW
    digest = hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=2).digest()
    return digest[0] % one_in == 0
