"""Everything that reinforcement learning can be told: each field is an option of `vidya.rl`.

No heavy imports here, so that `--help` is quick.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vidya.errors import UserError
from vidya.training import thread_choice

MOST_REPLIES = 4096
"""In a step: their log-probabilities over the vocabulary are kept at one time."""


@dataclass(frozen=True)
class RlOptions:
    """Let a Python function teach a model: `python -m vidya.rl --reward module:function`.

    The model replies several times to each of a few prompts, the function judges the
    replies, and those that it finds better than the others to the same prompt become
    likelier (group-relative policy optimisation). The result is saved as BASE_train.bin.
    """

    reward: str
    """MODULE:FUNCTION, called as function(turns, reply), returns a number: more is better.
    Built in: vidya.rewards:length and vidya.rewards:no_repeats."""
    settings: tuple[str, ...] = ()
    """NAME=VALUE settings of the function, such as target=20."""
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
    max_tokens: int = 60
    """Tokens after which a reply is cut off."""
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
    """Most held-out tokens in an evaluation."""
    most_forgetting: float = 0.05
    """When the held-out loss has risen by more than this share, the weights of the evaluation
    before are taken back, and that is the end; inf: never."""
    seed: int = 0
    """Of the order of the prompts and of the replies: the same seed gives the same run."""
    threads: Literal["auto"] | int = "auto"
    """Threads to use; auto: as many as there are cores that this process may use."""

    def check(self) -> None:
        """`UserError` for a number that makes no sense."""
        least = {
            "steps": 1, "prompts_per_step": 1, "group": 2, "max_tokens": 1, "inner_steps": 1,
            "eval_every": 1, "eval_tokens": 1,
        }  # fmt: skip
        for name, limit in least.items():
            if (value := getattr(self, name)) < limit:
                raise UserError(f"{_flag(name)} must be at least {limit}, not {value}")
        for name in ("lr", "clip"):
            if not 0 < (value := getattr(self, name)) < math.inf:
                raise UserError(f"{_flag(name)} must be above 0, not {value}")
        if not 0 <= self.kl < math.inf:
            raise UserError(f"--kl must be 0 or more, not {self.kl}")
        if not self.most_forgetting >= 0:
            raise UserError(
                f"--most-forgetting must be 0 or more (0.05 is 5 %), not {self.most_forgetting}"
            )
        if not 0 <= self.seed < 2**64:
            raise UserError(f"--seed must be between 0 and 2**64 - 1, not {self.seed}")
        if self.replies > MOST_REPLIES:
            raise UserError(
                f"--prompts-per-step times --group must be at most {MOST_REPLIES}, "
                f"not {self.replies}"
            )
        thread_choice.check(self.threads)

    @property
    def replies(self) -> int:
        """Replies in a step."""
        return self.prompts_per_step * self.group


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
