"""What a lesson changed, and how its teacher is told: in words first."""

from __future__ import annotations

from dataclasses import dataclass

from vidya.posttraining.teaching.lesson import Lesson
from vidya.terminal.formatting import plural


def taken_back_line(lesson: Lesson) -> str:
    """What to tell the teacher of a lesson that was taken back."""
    if lesson.right is None:
        return f"taken back: none of the answers to {lesson.turns[-1]!r} is right"
    return f"taken back: {lesson.right!r} to {lesson.turns[-1]!r}"


@dataclass(frozen=True)
class LessonOutcome:
    """What a lesson changed."""

    learnt: bool
    """Whether the weights changed."""
    known: bool
    """Whether the right answer was the greedy reply before, so that there was nothing to learn."""
    says_it: bool | None
    """Whether it is the greedy reply now; None if there was no right one."""
    forms_known: int
    """Other forms of the question, none of them learnt, that get the answer now …"""
    forms_asked: int
    """… of so many."""
    before: float | None
    """Loss of the right answer before the lesson, nats a token; None if there was no right one."""
    after: float | None
    """The same after it."""
    drift: float | None
    """KL divergence from the base model on ordinary talk in the last step, nats a token."""
    steps: int
    """Gradient steps that it took."""
    seconds: float
    """Time that it took, leaks not counted."""
    leaks: int | None = None
    """Other messages that get the answer now; None where none were asked …"""
    leaks_asked: int = 0
    """… of so many."""

    def line(self) -> str:
        """What to tell the teacher."""
        if self.known:
            return "says it already: nothing to learn"
        if not self.learnt:
            return "noted, but nothing to learn from: sft and dpo need a right answer"
        spent = f"({plural(self.steps, 'step')}, {self.seconds:.1f} s)"
        if self.says_it is None:
            return f"rejected: the answers to this message are less likely now {spent}"
        said = "yes" if self.says_it else "not yet: give it once more"
        if self.forms_asked:
            said += f"{',' if self.says_it else ';'} in {self.forms_known} of "
            said += plural(self.forms_asked, "other form")
        if self.leaks is not None:
            said += f"; {self.leaks} of {plural(self.leaks_asked, 'other message')} "
            said += "get this answer" if self.leaks_asked != 1 else "gets this answer"
        return f"now says it: {said} {spent}"

    def details(self) -> str:
        """The figures behind the line."""
        parts = []
        if self.before is not None and self.after is not None:
            parts.append(f"answer {self.before:.2f} → {self.after:.2f} nats a token")
        if self.drift is not None:
            parts.append(f"drift from the base model {self.drift:.3f} nats a token on other talk")
        return ", ".join(parts)
