"""Questions as ids, now as they stand and now in another form."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np

from vidya.generation.chat_tokens import turn_ids
from vidya.posttraining.rewording.chance import happens
from vidya.posttraining.rewording.form_names import FORMS
from vidya.posttraining.rewording.forms import plain_wording
from vidya.posttraining.rewording.question_ids import reworded_ids
from vidya.text.tokenizer import Tokenizer

AS_IT_STANDS = 0.15
"""Share of the questions that stay in the words in which they were taught."""


class Reworder:
    """A tokenizer and the forms that are used."""

    def __init__(
        self, tokenizer: Tokenizer, forms: Collection[str] = FORMS, taught: Iterable[str] = ()
    ) -> None:
        """With no forms every question stays as it stands; none becomes another one `taught`."""
        self.tokenizer, self.forms = tokenizer, forms
        self._avoid = frozenset(map(plain_wording, taught))

    def ids(self, question: str, rng: np.random.Generator, much: float = 1.0) -> list[int]:
        """Ids of a turn, with the spaces around it; `much` below 1 rewords fewer questions."""
        if not self.forms or happens(rng, 1 - (1 - AS_IT_STANDS) * much):
            return turn_ids(self.tokenizer, question)
        return reworded_ids(self.tokenizer, question, rng, self.forms, avoid=self._avoid)
