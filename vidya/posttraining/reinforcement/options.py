"""Everything that reinforcement learning can be told: each field is an option of `vidya.rl`.

No heavy imports here, so that `--help` is quick.
"""

# No `from __future__ import annotations` here: tyro reads the annotations.

import math
from dataclasses import dataclass
from pathlib import Path

from vidya.errors import UserError
from vidya.terminal.common_options import (
    ResultsOption,
    SeedOption,
    ThreadsOption,
    option_names,
    require_at_least,
    require_positive,
)

REPLY_TOKENS = 60
"""Tokens after which a reply is cut off, if nothing else is said."""
MOST_REPLIES = 4096
"""Most replies in a step: their log-probabilities over the vocabulary are kept at one time."""


@dataclass(frozen=True, kw_only=True)
class RlOptions(ResultsOption, SeedOption, ThreadsOption):
    """Let a Python function teach a model: `python -m vidya.rl --reward module:function`.

    The model replies several times to each of a few prompts, the function judges the
    replies, and those that it finds better than the others to the same prompt become
    likelier (group-relative policy optimisation). The result is saved as BASE_train.bin.
    """

    reward: str
    """Function that judges the replies, as MODULE:FUNCTION: called as function(turns, reply), it
    returns a number, more for a better reply. Built in: vidya.rewards:length and
    vidya.rewards:no_repeats."""
    settings: tuple[str, ...] = ()
    """Settings of the function, as NAME=VALUE, such as target=20."""
    model: Path | None = None
    """A checkpoint or a run folder. Default: the newest run in runs/."""
    prompts: Path | None = None
    """A text file of prompts, one a line: messages, or conversations to go on with. Default:
    what users say first in the corpus that the model was trained on."""
    steps: int = 200
    """Rounds of drawing, judging and learning."""
    prompts_per_step: int = 4
    """Prompts in a step."""
    group: int = 8
    """Replies to each prompt, which are compared with one another."""
    max_tokens: int | None = None
    """Tokens after which a reply is cut off. Default: 60, at most half of what the model looks
    back on."""
    lr: float = 5e-5
    """Adam's learning rate."""
    kl: float = 0.1
    """How strongly the model is held to what it was: weight of the divergence from it."""
    inner_steps: int = 1
    """Updates from the replies of a step."""
    clip: float = 0.2
    """With more than one of these: how far from 1 the ratio between a token's probability now
    and when it was drawn may go before the token teaches nothing more."""
    eval_every: int = 20
    """Steps between evaluations on held-out text, after each of which the model is saved."""
    eval_tokens: int = 8192
    """Most held-out tokens of the base corpus in an evaluation."""
    most_forgetting: float = 0.05
    """When the held-out loss has risen by more than this share, the weights of the evaluation
    before are taken back, and that is the end; inf: never."""

    def check(self) -> None:
        """`UserError` for a number that makes no sense."""
        super().check()
        require_at_least(
            1, self, "steps", "prompts_per_step", "max_tokens", "inner_steps", "eval_every",
            "eval_tokens",
        )  # fmt: skip
        require_at_least(2, self, "group")
        require_positive(self, "lr", "clip")
        if not 0 <= self.kl < math.inf:
            raise UserError(f"--kl must be 0 or more, not {self.kl}")
        if not self.most_forgetting >= 0:
            raise UserError(
                f"--most-forgetting must be 0 or more (0.05 is 5 %), not {self.most_forgetting}"
            )
        if self.replies > MOST_REPLIES:
            raise UserError(
                f"--prompts-per-step times --group must be at most {MOST_REPLIES}, "
                f"not {self.replies}"
            )

    def plain(self) -> dict[str, object]:
        """The options by name, but the settings of the reward."""
        return {name: getattr(self, name) for name in option_names(RlOptions) if name != "settings"}

    def reply_tokens(self, context: int) -> int:
        """Tokens after which a model with such a context is cut off."""
        return min(REPLY_TOKENS, context // 2) if self.max_tokens is None else self.max_tokens

    @property
    def replies(self) -> int:
        """Number of replies in a step."""
        return self.prompts_per_step * self.group
