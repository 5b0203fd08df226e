"""Everything that teaching can be told: each field is an option of `vidya.teach`.

No heavy imports here, so that `--help` is quick.
"""

# No `from __future__ import annotations` here: tyro reads the annotations. And `Optional[X]`
# for `X | None` (see vidya/chat.py).

from dataclasses import dataclass
from typing import Optional

from vidya.errors import UserError
from vidya.generation.sampling_settings import SamplingSettings
from vidya.posttraining.teaching.settings import LessonSettings
from vidya.terminal.common_options import SamplingOptions, ThreadsOption, require_at_least

MOST_CANDIDATES = 16


@dataclass(frozen=True, kw_only=True)
class TeachOptions(LessonSettings, SamplingOptions, ThreadsOption):
    """What to do, and how to teach."""

    ask: tuple[str, ...] = ()
    """Print the candidates for this message. Several texts are a conversation: the user's and
    the model's in turn, the user's last."""
    pick: Optional[int] = None  # noqa: UP045
    """Learn that this candidate of the last --ask is right."""
    answer: Optional[str] = None  # noqa: UP045
    """Learn that this is the right answer to the last --ask, or to the one given with it."""
    reject: bool = False
    """Learn that no candidate of the last --ask is right."""
    undo: bool = False
    """Take the last lesson back, exactly."""
    replay_journal: bool = False
    """Rebuild the taught model from the base model and the journal, bit for bit."""
    json: bool = False
    """Print JSON, one object a line, with --ask and what follows it."""
    n: int = 5
    """Number of candidates to offer."""
    max_tokens: int = 40
    """Tokens after which a candidate is cut off."""
    turns: int = 5
    """Messages after which a conversation begins anew."""

    def check(self) -> None:
        """`UserError` for options that make no sense, or do not go together."""
        super().check()
        learns = [self.pick is not None, self.answer is not None, self.reject]
        other = [self.undo, self.replay_journal]
        if sum(learns) + sum(other) > 1 or (self.ask and (any(other) or learns[0] or learns[2])):
            raise UserError(
                "--pick, --answer, --reject, --undo and --replay-journal exclude each other, "
                "and --ask goes with --answer alone"
            )
        if self.ask and len(self.ask) % 2 == 0:
            raise UserError("--ask takes one message, or turns of which the last is the user's")
        if any(not text.strip() for text in self.ask):
            raise UserError("--ask has an empty text in it: say something to the model")
        if self.answer is not None and not self.answer.strip():
            raise UserError("--answer is empty: --reject says that no candidate is right")
        if self.json and not (self.ask or any(learns)):
            raise UserError("--json is for --ask, --pick, --answer and --reject")
        if not 1 <= self.n <= MOST_CANDIDATES:
            raise UserError(f"--n must be between 1 and {MOST_CANDIDATES}, not {self.n}")
        require_at_least(1, self, "max_tokens", "turns")
        self.sampling()

    def sampling(self) -> SamplingSettings:
        """How candidates are drawn; `UserError` for settings that make no sense."""
        return SamplingSettings(self.temperature, self.top_k, self.seed)
