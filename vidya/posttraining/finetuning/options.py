"""Everything that a fine-tuning can be told: each field is an option of `vidya.finetune`.

No heavy imports here, so that `--help` is quick.
"""

# No `from __future__ import annotations` here: tyro reads the annotations.

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vidya.errors import UserError
from vidya.model.presets import PRESETS
from vidya.posttraining.rewording.form_names import chosen_forms
from vidya.terminal.common_options import (
    MeasuredThreadsOption,
    ResultsOption,
    SeedOption,
    option_names,
    require_at_least,
    require_positive,
    require_share,
)

FEWEST_STEPS = 300
"""Of conversations by default: fewer teach one line, but not one in letters new to the model."""


@dataclass(frozen=True, kw_only=True)
class FinetuneOptions(ResultsOption, SeedOption, MeasuredThreadsOption):
    """Give a trained model a personality."""

    model: Path | None = None
    """A checkpoint or a run folder; by default the newest run in runs/. Of a folder it is
    BASE_train.bin if that is there, so that fine-tuning goes on; name BASE.bin to begin anew."""
    epochs: int | None = None
    """Passes over the persona's text. Default: 75 for conversations, as many as make 300 steps
    for a few of them; 4 for plain text."""
    loss: Literal["assistant", "all"] = "assistant"
    """What is learnt of conversations: the assistant's words, or everybody's. Of plain text it
    is every token."""
    forms: tuple[str, ...] = ("all",)
    """Forms in which questions are reworded while their answers are learnt: all, none, or some of
    case, punctuation, … (docs/TEACHING.md), so that they are known in other words."""
    after_talk: float = 0.5
    """Share of the conversations that are learnt after others or after talk of the corpus, so
    that they are known later in a conversation; 0: each as the first."""
    as_is: bool = False
    """Keep the spaces around marks of tokenised text (`Hello , you .`), which else is taught as
    people write it, unless the model's tokenizer is of before vidya normalised text."""
    replay: float = 0.35
    """Share of a step's tokens that come from the corpus that the model was trained on, against
    forgetting; 0: none."""
    replay_of: Literal["replies", "windows"] = "replies"
    """What is replayed. replies: those to ordinary messages, so that nothing else gets a taught
    answer; windows: any text of the corpus, as for plain text always."""
    replay_loss: Literal["kl", "text"] = "kl"
    """What replay asks for. kl: say what the model said there before; text: learn the text."""
    anchor: float = 3.0
    """Weight of the replay's windows beside the persona, with --replay-loss kl."""
    reply_anchor: float = 3.0
    """Weight of its replies, which they have in the second half of the steps."""
    replay_data: Path | None = None
    """Corpus file to replay, a document a line, where the run folder has no token cache."""
    lr: float | None = None
    """Peak learning rate. Default: 0.8 of the peak of the model's preset for conversations, half
    of it for plain text."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """After the warm-up the rate falls as half a cosine to 0, or stays."""
    warmup: int = 20
    """Steps of linear warm-up, at most a tenth of all."""
    tokens_per_step: int = 280
    """A step takes whole documents as long as they fit this many tokens, replay included."""
    dropout: bool = False
    """Use the dropout that the model was trained with. It slows learning by heart."""
    val_fraction: float | None = None
    """Part of the persona's documents that is not taught but held out, to measure on; 0: none.
    Default: 0.1, and nothing of fewer than 1,000 conversations or 10 passages of plain text."""
    patience: Literal["auto"] | int = "auto"
    """Stop after so many evaluations in a row without a lower held-out loss of the persona, and
    keep the weights of the lowest; 0: never. auto: 2 for plain text, 0 for conversations,
    because answers are known by heart only long after that loss has passed its lowest point."""
    eval_every: int | None = None
    """Steps between evaluations, the base corpus included. Default: an eighth of all, or fewer
    evaluations where they would take more than a tenth of the time."""
    eval_tokens: int = 16384
    """Most held-out tokens of the base corpus in an evaluation."""

    def check(self) -> None:
        """Raise `UserError` for a value that cannot work, before anything is read."""
        super().check()
        require_at_least(1, self, "epochs", "tokens_per_step", "eval_every", "eval_tokens")
        require_share(
            self, "replay", "after_talk", *["val_fraction"] * (self.val_fraction is not None)
        )
        require_positive(self, "lr", "anchor", "reply_anchor")
        chosen_forms(self.forms)
        require_at_least(0, self, "warmup")
        if self.dropout and self.replay and self.replay_loss == "kl":
            raise UserError("--dropout needs --replay-loss text, or --replay 0")
        if self.patience != "auto" and self.patience < 0:
            raise UserError(f"--patience must be auto or at least 0, not {self.patience}")
        if self.patience not in ("auto", 0) and self.val_fraction == 0:
            raise UserError("--patience looks at held-out text: give a --val-fraction above 0")
        if self.replay_data is not None and not self.replay:
            raise UserError("--replay-data is for replay, which --replay 0 switches off: give one")

    def resolved(
        self,
        *,
        conversations: bool,
        taught_tokens: int,
        val_fraction: float,
        held_out: bool,
        preset: object,
    ) -> "FinetuneOptions":
        """The options with what their defaults mean for such a persona and such a model.

        Args:
            conversations: whether the persona has some.
            taught_tokens: tokens of what is taught of it.
            val_fraction: what was to be held out of it.
            held_out: whether something was.
            preset: name of the model's; one that is unknown counts as the plan's 25m.
        """
        epochs, patience, lr = self.epochs, self.patience, self.lr
        if lr is None:
            share = 0.8 if conversations else 0.5
            lr = PRESETS.get(str(preset), PRESETS["25m"]).peak_lr * share
        if epochs is None:
            epochs = 4  # text is not recited
            if conversations:  # answers are known by heart
                of_a_step = self.tokens_per_step * (1 - self.replay)
                steps_of_a_pass = math.ceil(taught_tokens / of_a_step)
                epochs = max(75, math.ceil(FEWEST_STEPS / max(1, steps_of_a_pass)))
        if patience == "auto":
            patience = 0 if conversations or not held_out else 2
        return dataclasses.replace(
            self, epochs=epochs, patience=patience, lr=lr, val_fraction=val_fraction
        )

    def plain(self) -> dict[str, object]:
        """The options as JSON values, without what a command line adds to them."""
        values = ((name, getattr(self, name)) for name in option_names(FinetuneOptions))
        return {name: str(value) if isinstance(value, Path) else value for name, value in values}
