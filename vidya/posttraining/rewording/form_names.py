"""Names of the forms that a question may have, for options: without NumPy, so `--help` is quick."""

from __future__ import annotations

from collections.abc import Sequence

from vidya.errors import UserError

FORMS: tuple[str, ...] = (
    "question_frames", "close_words", "spelling", "articles", "openings", "contractions",
    "chat_shorthand", "typos", "case", "punctuation", "endings", "stretching", "token_dropout",
    "bpe_dropout",
)  # fmt: skip
"""All of them: what is done to the text, in the order in which it is done, then to its tokens."""


def chosen_forms(names: Sequence[str]) -> tuple[str, ...]:
    """The forms that `all`, `none` or some names mean.

    Raises:
        UserError: a name that is none, or `all` or `none` beside others.
    """
    if tuple(names) == ("all",):
        return FORMS
    if tuple(names) == ("none",):
        return ()
    if not names or not set(names) <= set(FORMS):
        unknown = ", ".join(name for name in names if name not in FORMS) or "nothing"
        raise UserError(f"--forms takes all, none, or some of {', '.join(FORMS)}; not {unknown}")
    return tuple(name for name in FORMS if name in names)
