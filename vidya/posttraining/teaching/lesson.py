"""A lesson: what was said, what the model offered, and what its teacher made of that.

Everything that learning depends on is in it, so that it can be learnt again from a journal
with the same result (vidya/posttraining/teaching/learner.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vidya.errors import UserError
from vidya.generation.chat_tokens import chat_prompt, turn_ids
from vidya.posttraining.answer_batches import Answer
from vidya.posttraining.teaching.options import FixedStepSettings, LessonSettings
from vidya.text.normalisation import normalised
from vidya.text.tokenizer import Tokenizer

AnySettings = LessonSettings | FixedStepSettings
_BEFORE: Mapping[str, Any] = {
    "own_replies": 0.0, "decay": 0.0, "last_rate": 1.0, "rehearse_any": True,
    "searched": 0,
}  # fmt: skip
"""Settings that journals of format 3 had not at first, with what they stood for: left out there."""


@dataclass(frozen=True)
class Candidate:
    """An answer that the model offered."""

    text: str
    ids: tuple[int, ...]
    """As they were drawn, the marker that ended it included."""


@dataclass(frozen=True)
class Lesson:
    """One choice of the teacher."""

    number: int
    """Lessons that the journal had before, taken back ones included: decides the replay."""
    turns: tuple[str, ...]
    """The conversation so far, the user's texts and the model's in turn, the user's last."""
    candidates: tuple[Candidate, ...]
    """What the model offered; may be empty."""
    pick: int | None
    """Which of them was right, from 1; 0 if none was, None if the teacher gave an answer."""
    answer: str | None
    """The teacher's own answer, or None."""
    settings: AnySettings
    forms: tuple[tuple[int, ...], ...] = ()
    """Other forms of the last turn as ids, to learn the answer under: they are written down, so
    that a version that would draw others learns the lesson again to the same bytes."""

    def __post_init__(self) -> None:
        if len(self.turns) % 2 == 0:
            raise ValueError("the last turn of a lesson must be the user's")
        if (self.pick is None) == (self.answer is None):
            raise ValueError("a lesson has either a pick or an answer")
        if self.pick is not None and not 0 <= self.pick <= len(self.candidates):
            raise ValueError(f"there is no candidate {self.pick}")
        if self.answer is not None and not self.answer.strip():
            raise ValueError("an answer cannot be empty")
        if self.pick == 0 and not self.candidates:
            raise ValueError("there is nothing to reject")

    @property
    def right(self) -> str | None:
        """Text of the right answer; None if all were rejected."""
        if self.answer is not None:
            return self.answer
        return self.candidates[self.pick - 1].text if self.pick else None

    def is_right(self, text: str, tokenizer: Tokenizer) -> bool:
        """Whether a text says the right answer, in the same ids but for space around words.

        A teacher types `I’m`, and a model whose tokenizer normalises says `I'm`.
        """
        if self.right is None:
            return False
        one, other = (
            (normalised(some) if tokenizer.normalises else some).split()
            for some in (text, self.right)
        )
        return one == other

    def answers(self, tokenizer: Tokenizer, room: int) -> tuple[list[Answer], bool]:
        """The answers with their prompt as ids, and whether the first is the right one.

        The right one stands first, then the others as they were offered; one that says the
        same as the right one is left out. An answer that the teacher wrote is laid out as in
        the corpus: it ends with the marker of the user's turn, and one spelled out stays text.

        Args:
            tokenizer: the model's.
            room: ids that a prompt may have.
        """
        prompt = chat_prompt(tokenizer, self.turns, room)
        others = list(self.candidates)
        found: list[Sequence[int]] = []
        if self.answer is not None:
            found.append([*turn_ids(tokenizer, self.answer), tokenizer.user_id])
        elif self.pick:
            found.append(others.pop(self.pick - 1).ids)
        if self.right is not None:
            others = [one for one in others if not self.is_right(one.text, tokenizer)]
        found += [one.ids for one in others if one.ids]
        return [Answer(prompt, ids) for ids in found], self.right is not None

    def plain(self) -> dict[str, Any]:
        """As JSON has it, tuples being lists; `parse_lesson` is the way back."""
        values = dataclasses.asdict(self)
        if isinstance(self.settings, FixedStepSettings):
            del values["forms"]  # the line of then
        for name, value in _BEFORE.items():
            if values["settings"].get(name) == value:
                del values["settings"][name]
        return {"lesson": values.pop("number"), **values}


def parse_candidate(plain: Mapping[str, Any]) -> Candidate:
    """A candidate from its fields by name; errors as of `parse_lesson`."""
    return Candidate(str(plain["text"]), tuple(map(int, plain["ids"])))


def parse_lesson(plain: Mapping[str, Any]) -> Lesson:
    """A lesson from what `Lesson.plain` made.

    Raises:
        ValueError, KeyError, TypeError: it is none.
    """
    candidates = tuple(map(parse_candidate, plain["candidates"]))
    settings: AnySettings
    if "forms" in plain:
        settings = LessonSettings(**{**_BEFORE, **plain["settings"]})
    else:
        settings = FixedStepSettings(**plain["settings"])
    try:
        settings.check()
    except UserError as error:
        raise ValueError(str(error)) from error
    return Lesson(
        int(plain["lesson"]), tuple(map(str, plain["turns"])), candidates, plain["pick"],
        plain["answer"], settings,
        tuple(tuple(map(int, ids)) for ids in plain.get("forms", ())),
    )  # fmt: skip
