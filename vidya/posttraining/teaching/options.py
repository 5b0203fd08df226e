"""Everything that teaching can be told: each field is an option of `vidya.teach`.

Those of how a lesson is learnt, `LessonSettings`, are in the journal with each lesson.
No heavy imports here, so that `--help` is quick.
"""

# No `from __future__ import annotations` here: tyro reads the annotations.

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from vidya.errors import UserError
from vidya.generation.sampling_settings import SamplingSettings
from vidya.model.presets import PRESETS
from vidya.terminal.common_options import (
    Options,
    ResultsOption,
    SamplingOptions,
    ThreadsOption,
    flag,
    require_at_least,
    require_positive,
)

MOST_CANDIDATES = 16
MethodName = Literal["sft", "dpo", "reinforce"]
METHODS: tuple[MethodName, ...] = get_args(MethodName)
RATE = 2.0
"""Learning rate of a lesson, as a share of the peak rate of the model's preset."""


def _require_between(options: object, least: int, most: int, *names: str) -> None:
    for name in names:
        value = getattr(options, name)
        if not least <= value <= most:
            raise UserError(f"{flag(name)} must be between {least} and {most:,}, not {value}")


@dataclass(frozen=True)
class MethodSettings(Options):
    """What the three methods are told, now and in journals of format 2."""

    method: MethodName = "sft"
    """How to learn: the right answer alone, the right one against the others, or policy
    gradient over all of them."""
    steps: int = 24
    """Gradient steps of a lesson at most: it ends as soon as the answer is known."""
    lr: float | None = None
    """Learning rate; left out: a share of the peak rate of the model's preset."""
    beta: float = 0.1
    """With --method dpo: how strongly the base model holds."""
    kl: float = 0.1
    """With --method reinforce: what a nat of divergence from the base model costs."""
    clip: float = 0.2
    """With --method reinforce: how far a token's probability may move in a lesson, as a ratio."""

    def check(self) -> None:
        """`UserError` for a setting that makes no sense."""
        super().check()
        if self.method not in METHODS:  # of a journal, which no parser has looked at
            raise UserError(f"--method must be {', '.join(METHODS)}, not {self.method}")
        if not 1 <= self.steps <= 1000:
            raise UserError(f"--steps must be between 1 and 1,000, not {self.steps}")
        require_positive(self, "lr", "beta", "clip")
        if not 0 <= self.kl < math.inf:
            raise UserError(f"--kl must be 0 or more, not {self.kl}")

    @property
    def rate(self) -> float:
        """The learning rate, which must have been chosen (`LessonSettings.resolved`)."""
        if self.lr is None:
            raise ValueError("the learning rate of these settings depends on a model")
        return self.lr


@dataclass(frozen=True)
class FixedStepSettings:
    """How a lesson of a journal of format 2 is learnt (vidya/posttraining/teaching/fixed_steps.py).

    The fields stand in the order of such journals, which names their lessons.
    """

    method: MethodName
    steps: int
    lr: float
    replay: int
    replay_loss: str
    anchor: float
    rehearse: int
    beta: float
    kl: float
    clip: float

    def check(self) -> None:
        """`UserError` for a setting that makes no sense."""
        MethodSettings(self.method, self.steps, self.lr, self.beta, self.kl, self.clip).check()
        if self.replay_loss not in ("kl", "text"):
            raise UserError(f"replay_loss must be kl or text, not {self.replay_loss}")
        _require_between(self, 0, 1_000_000, "replay", "rehearse")
        require_positive(self, "anchor")

    @property
    def rate(self) -> float:
        """The learning rate."""
        return self.lr


@dataclass(frozen=True)
class LessonSettings(MethodSettings):
    """How a lesson is learnt."""

    forms: int = 4
    """Other forms of the question that each step asks in, drawn anew for each; 0: only the
    question as it stands."""
    rehearse: int = 16
    """Right answers of earlier lessons that each step sees again; 0: none."""
    rehearse_any: bool = False
    """Whether each step draws any of them; else those that a step missed come again in the next
    one, half of its places at most, and the others in turn."""
    others: int = 20
    """Ordinary messages of the base corpus to which each step holds the model, so that it says
    there what it said before; 0: none."""
    own_replies: float = 0.6
    """Share of these messages at whose replies by the model as it is now it is held: an answer
    leaks where the model goes. At the others it is held at the corpus' replies and at taught
    answers."""
    searched: int = 192
    """Ordinary messages that are asked every sixth step, and before a lesson ends: those that get
    a taught answer are held next; 0: none."""
    replay: int = 64
    """Tokens of the base corpus, from anywhere in it, that it is held to beside them; 0: it is
    held to nothing, and forgets."""
    anchor: float = 3.0
    """Weight of what it is held to beside the answers."""
    decay: float = 0.001
    """Share of the way back to the base model that the weights go in each step, so that what no
    answer needs is given back."""
    last_rate: float = 0.2
    """Learning rate of the last step that a lesson may have, as a share of the first one's: it
    falls in a line. Small steps at the end undo what large ones did to other talk."""

    def check(self) -> None:
        """`UserError` for a setting that makes no sense."""
        super().check()
        _require_between(self, 0, 64, "forms", "rehearse", "others")
        _require_between(self, 0, 4096, "searched")
        _require_between(self, 0, 1, "own_replies", "decay", "last_rate")
        _require_between(self, 0, 1_000_000, "replay")
        require_positive(self, "anchor")

    def rate_of(self, step: int) -> float:
        """The learning rate of a step of a lesson; the first one is 0."""
        return self.rate * (1 - (1 - self.last_rate) * step / self.steps)

    def resolved(self, preset: object) -> "LessonSettings":
        """These settings alone, with the learning rate that they mean for such a model.

        Args:
            preset: name of the model's; one that is unknown counts as the plan's 25m.
        """
        found: dict[str, Any] = {
            field.name: getattr(self, field.name) for field in dataclasses.fields(LessonSettings)
        }
        if self.lr is None:
            found["lr"] = RATE * PRESETS.get(str(preset), PRESETS["25m"]).peak_lr
        return LessonSettings(**found)


@dataclass(frozen=True, kw_only=True)
class TeachOptions(LessonSettings, ResultsOption, SamplingOptions, ThreadsOption):
    """What to do, and how to teach."""

    ask: tuple[str, ...] = ()
    """Print the candidates for this message. Several texts are a conversation: the user's and
    the model's in turn, the user's last."""
    pick: int | None = None
    """Learn that this candidate of the last --ask is right."""
    answer: str | None = None
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
