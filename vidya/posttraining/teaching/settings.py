"""How a lesson is learnt: the settings, which vidya/posttraining/teaching/learner.py follows.

They are options of a command line too, so no NumPy here, and no `from __future__ import
annotations`, for tyro (see vidya/chat.py).
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Optional, get_args

from vidya.errors import UserError
from vidya.model.presets import PRESETS
from vidya.terminal.common_options import Options, flag, require_positive

MethodName = Literal["sft", "dpo", "reinforce"]
METHODS: tuple[MethodName, ...] = get_args(MethodName)
RATES: Mapping[MethodName, float] = {"sft": 0.3, "dpo": 0.3, "reinforce": 0.3}
"""Learning rates, as shares of the peak rate that the model's preset is trained with."""


@dataclass(frozen=True)
class LessonSettings(Options):
    """How a lesson is learnt."""

    method: MethodName = "sft"
    """How to learn: the right answer alone, the right one against the others, or policy
    gradient over all of them."""
    steps: int = 4
    """Gradient steps of a lesson."""
    lr: Optional[float] = None  # noqa: UP045
    """Learning rate; left out: 0.3 of the peak rate of the model's preset."""
    replay: int = 96
    """Tokens of the base corpus that each step sees against forgetting; 0: none."""
    replay_loss: Literal["kl", "text"] = "kl"
    """What replay asks for. kl: say what the base model says there; text: learn the text."""
    anchor: float = 3.0
    """Weight of the replay beside the answers."""
    rehearse: int = 8
    """Right answers of earlier lessons that each step sees again; 0: none."""
    beta: float = 0.1
    """With --method dpo: how strongly the base model holds."""
    kl: float = 0.1
    """With --method reinforce: what a nat of divergence from the base model costs."""
    clip: float = 0.2
    """With --method reinforce: how far a token's probability may move in a lesson, as a ratio."""

    def check(self) -> None:
        """`UserError` for a setting that makes no sense."""
        super().check()
        for name, words in (("method", METHODS), ("replay_loss", ("kl", "text"))):
            if getattr(self, name) not in words:  # of a journal, which no parser has looked at
                raise UserError(
                    f"{flag(name)} must be {', '.join(words)}, not {getattr(self, name)}"
                )
        if not 1 <= self.steps <= 1000:
            raise UserError(f"--steps must be between 1 and 1,000, not {self.steps}")
        for name in ("replay", "rehearse"):
            if not 0 <= getattr(self, name) <= 1_000_000:
                value = getattr(self, name)
                raise UserError(f"--{name} must be between 0 and 1,000,000, not {value}")
        require_positive(self, "lr", "anchor", "beta", "clip")
        if not 0 <= self.kl < math.inf:
            raise UserError(f"--kl must be 0 or more, not {self.kl}")

    def resolved(self, preset: object) -> "LessonSettings":
        """These settings alone, with the learning rate that they mean for such a model.

        Args:
            preset: name of the model's; one that is unknown counts as the plan's 25m.
        """
        found: dict[str, Any] = {
            field.name: getattr(self, field.name) for field in dataclasses.fields(LessonSettings)
        }
        if self.lr is None:
            peak = PRESETS.get(str(preset), PRESETS["25m"]).peak_lr
            found["lr"] = RATES[self.method] * peak
        return LessonSettings(**found)

    @property
    def rate(self) -> float:
        """The learning rate, which must have been chosen (`resolved`)."""
        if self.lr is None:
            raise ValueError("the learning rate of these settings depends on a model")
        return self.lr
