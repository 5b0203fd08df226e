"""Everything that a training run can be told: each field is an option of `vidya.train`.

No heavy imports here, so that `--help` is quick.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vidya.errors import UserError
from vidya.model.config import ModelConfig
from vidya.model.learning_rate import Decay, fit_warmup, learning_rate
from vidya.model.presets import PresetName, preset
from vidya.model.recipes import RECIPES, InitialStds, RecipeName
from vidya.terminal.common_options import (
    MeasuredThreadsOption,
    SeedOption,
    flag,
    option_names,
    require_at_least,
    require_positive,
    require_share,
)

# No `from __future__ import annotations` here: tyro reads the annotations.

EVALUATIONS = 10
"""Evaluations, and checkpoints, in a run whose options do not say how often."""
MOST_EVAL_STEPS = 2_000
MOST_CHECKPOINT_STEPS = 10_000
BY_RECIPE = ("dropout", "beta1", "beta2", "decay", "embedding_lr_scale")
"""Options that the recipe decides where they are not given, and that may change in a run."""
STDS = ("embedding", "hidden", "residual")
"""Fresh matrices that have a standard deviation each, `--embedding-std` and so on."""


@dataclass(frozen=True, kw_only=True)
class TrainOptions(MeasuredThreadsOption, SeedOption):
    """Train a chat model from scratch, or go on with --resume.

    Without options: preset 10m on the chitchat corpus for about 30 minutes.
    """

    preset: PresetName = "10m"
    """Size of the model, with the settings that suit it."""
    data: tuple[Path, ...] = ()
    """Files to learn from, a text or conversation a line. UTF-8, as `vidya data` writes them.
    Default: chitchat conversations."""
    val: Path | None = None
    """Text to measure on, not to learn from. Default: a part of --data. Which documents they are is
    decided by a hash of their text."""
    val_fraction: float = 0.02
    """Part of --data that is measured on; 0: none. It counts when --val is not given."""
    out: Path | None = None
    """Folder of the run. Default: runs/PRESET."""
    resume: bool = False
    """Go on with the run of the folder, where it was left. It begins at the newest whole
    checkpoint, bit for bit; with another rate, size of a step, dropout, … or number of steps where
    these are given."""
    overwrite: bool = False
    """Replace the run that the folder holds already."""
    init: Path | None = None
    """Model to begin with: a checkpoint or a run folder. Its architecture and tokenizer are taken
    instead of random weights; step and optimizer begin anew."""

    steps: int | None = None
    """Number of steps, instead of a time. Default: as many as fit --minutes."""
    minutes: float = 30.0
    """How long to train, at the speed measured at the start. It counts when --steps is not
    given."""
    passes: float = 3.0
    """Most times through the text. It counts when --steps is not given."""
    tokens_per_step: int = 512
    """Most tokens of a step, in whole documents."""
    docs_per_step: int | None = None
    """Number of documents that a step takes, instead of as many as fit --tokens-per-step."""

    recipe: RecipeName | None = None
    """How weights are drawn and learn, where other options do not say it. plan: as the road to 25M
    has it; fast: what learns most in the time (docs/TRAINING.md). Default: the preset's."""
    lr: float | None = None
    """Peak learning rate. Default: the preset's, by its recipe."""
    warmup: int | None = None
    """Steps until the peak rate. Default: the preset's, at most a tenth of the run."""
    lr_floor: float = 0.0
    """Rate at the end of the run, as a share of the peak."""
    decay: Decay | None = None
    """How the rate falls after the warm-up. Default: the recipe's."""
    embedding_lr_scale: float | None = None
    """What the learning rate is multiplied by for the token embedding. Default: the recipe's."""
    beta1: float | None = None
    """Adam's decay of the first moment. Default: the recipe's."""
    beta2: float | None = None
    """Adam's decay of the second moment. Default: the recipe's."""
    eps: float = 1e-8
    """Adam's epsilon."""
    clip: float = 1.0
    """Norm of all gradients together that they are scaled down to when it is greater."""

    merges: int | None = None
    """Pieces of words to learn (BPE merges). Default: the preset's."""
    split_digits: bool = True
    """Cut numbers off before words are learnt. It is done in threes from the right, as in
    llama.cpp, which so reads text in the same tokens."""
    tokenizer: Path | None = None
    """A tokenizer.json, or the folder of a run. Default: a new one is learnt."""
    n_embd: int | None = None
    """Width: numbers that a token becomes. Default: the preset's."""
    n_layer: int | None = None
    """Depth: transformer blocks. Default: the preset's."""
    n_head: int | None = None
    """Attention heads of a block. Default: the preset's."""
    context: int | None = None
    """Most tokens that the model looks back on. Default: the preset's."""
    dropout: float | None = None
    """Share of inner numbers that a step leaves out. It keeps the model from learning by heart.
    Default: the recipe's."""
    embedding_std: float | None = None
    """Standard deviation of a fresh embedding. Default: the recipe's."""
    hidden_std: float | None = None
    """Standard deviation of fresh matrices that read from the residual stream. Default: the
    recipe's."""
    residual_std: float | None = None
    """Standard deviation of fresh matrices that write into it. Default: the recipe's."""

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Precision of matrix products: bf16 rounds what is multiplied to bfloat16 and halves what is
    kept for the backward pass; parameters, sums and logits stay float32. auto: bf16 where the
    processor multiplies it faster."""
    verbose: bool = False
    """Tell all that is known of the run: tokenizer, threads, memory, checkpoints."""
    profile: bool = False
    """Show where the time of a step goes, kernel by kernel, after the first steps."""
    eval_every: int | None = None
    """Steps between measurements. Default: a tenth of the run, at most 2,000."""
    eval_tokens: int = 32768
    """Most held-out tokens of a measurement."""
    samples: int = 3
    """Replies that each measurement shows."""
    checkpoint_every: int | None = None
    """Steps between checkpoints. Default: a tenth of the run, at most 10,000."""
    keep: int = 3
    """Newest checkpoints that are kept; every tenth stays besides."""
    on_spike: Literal["warn", "skip", "stop"] = "warn"
    """What is done about a spike: a step whose loss lies 6 standard deviations above that of the
    128 steps before, or the logarithm of its gradient norm 15. warn: it is shown and recorded;
    skip: its update is left out as well; stop: the run saves and stops before it."""
    tensorboard: bool = False
    """Also write metrics for TensorBoard (needs tensorboardX)."""

    def folder(self) -> Path:
        """The run folder."""
        return self.out if self.out is not None else Path("runs") / self.preset

    def model_config(self, vocab_size: int) -> ModelConfig:
        """The architecture, for a vocabulary of `vocab_size`."""
        base = preset(self.preset).model(vocab_size, self.in_force("dropout"))
        given = {
            name: getattr(self, name)
            for name in ("n_embd", "n_layer", "n_head", "context")
            if getattr(self, name) is not None
        }
        return dataclasses.replace(base, **given)

    def n_merges(self) -> int:
        """Merges of the tokenizer."""
        return preset(self.preset).merges if self.merges is None else self.merges

    def step_limits(self) -> tuple[int | None, int | None]:
        """Most tokens of a step and number of its documents, of which one is None."""
        by_tokens = self.docs_per_step is None
        return (self.tokens_per_step if by_tokens else None), self.docs_per_step

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0, of a run whose length is chosen."""
        assert self.steps is not None
        return learning_rate(
            step,
            total_steps=self.steps,
            peak=self.peak_lr(),
            warmup_steps=fit_warmup(self.warmup_steps(), self.steps),
            floor=self.lr_floor,
            decay=self.in_force("decay"),
        )

    def recipe_name(self) -> RecipeName:
        """The recipe that holds where other options say nothing."""
        return self.recipe or preset(self.preset).recipe

    def in_force(self, name: str) -> Any:
        """The value of an option that the recipe decides where it is not given."""
        given = getattr(self, name)
        return getattr(RECIPES[self.recipe_name()], name) if given is None else given

    def settled(self) -> "TrainOptions":
        """These options with what the recipe decides written out: what a run records."""
        decided = {name: self.in_force(name) for name in BY_RECIPE}
        return dataclasses.replace(self, lr=self.peak_lr(), recipe=self.recipe_name(), **decided)

    def initial_stds(self, config: ModelConfig) -> InitialStds:
        """What the fresh matrices of a model are drawn with."""
        of_recipe = RECIPES[self.recipe_name()].initial_stds(config.n_embd, config.n_layer)
        given = {
            name: getattr(self, f"{name}_std")
            for name in STDS
            if getattr(self, f"{name}_std") is not None
        }
        return dataclasses.replace(of_recipe, **given)

    def peak_lr(self) -> float:
        """Peak learning rate."""
        return self.usual_lr() if self.lr is None else self.lr

    def usual_lr(self) -> float:
        """Peak learning rate of the preset, by its recipe."""
        return preset(self.preset).peak_rate(self.recipe_name())

    def warmup_steps(self) -> int:
        """Warm-up asked for, before it is fitted to the run's length."""
        return preset(self.preset).warmup_steps if self.warmup is None else self.warmup

    def eval_steps(self, total: int) -> int:
        """Steps between evaluations in a run of `total` steps."""
        return self.eval_every or min(MOST_EVAL_STEPS, max(1, total // EVALUATIONS))

    def checkpoint_steps(self, total: int) -> int:
        """Steps between checkpoints in a run of `total` steps."""
        return self.checkpoint_every or min(MOST_CHECKPOINT_STEPS, max(1, total // EVALUATIONS))

    def check(self) -> None:
        """Raise `UserError` for a value that cannot work, before anything is written."""
        super().check()
        self.model_config(vocab_size=259)
        require_at_least(
            1, self, "steps", "docs_per_step", "tokens_per_step", "eval_every", "eval_tokens",
            "checkpoint_every", "keep",
        )  # fmt: skip
        require_at_least(0, self, "warmup", "merges", "samples")
        require_positive(
            self, "minutes", "passes", "clip", "eps", "lr", "embedding_std", "hidden_std",
            "residual_std", "embedding_lr_scale",
        )  # fmt: skip
        require_share(self, "beta1", "beta2", "val_fraction")
        if not 0 <= self.lr_floor <= 1:
            raise UserError(f"--lr-floor must be in [0, 1], not {self.lr_floor}")
        from vidya.training import thread_choice  # not before options are parsed: it loads NumPy

        thread_choice.check(self.threads)
        if self.resume and self.overwrite:
            raise UserError("--resume goes on with a run, --overwrite replaces it: give one")
        if self.resume and self.init is not None:
            raise UserError("--resume goes on with a run, --init begins one: give one")
        drawn = [flag(f"{name}_std") for name in STDS if getattr(self, f"{name}_std") is not None]
        if self.init is not None and drawn:
            raise UserError(f"--init brings its weights, {drawn[0]} draws fresh ones: give one")
        fresh = self.init is None and not self.resume  # others have the merges of their model
        if fresh and self.tokenizer is not None and self.merges is not None:
            raise UserError("--tokenizer has its merges, --merges trains another: give one")
        if fresh and self.tokenizer is not None and not self.split_digits:
            raise UserError(
                "--tokenizer cuts text in its own way, --no-split-digits trains another: give one"
            )

    def plain(self) -> dict[str, object]:
        """The options as JSON values."""

        def as_json(value: object) -> object:
            if isinstance(value, tuple):
                return [str(path) for path in value]
            return str(value) if isinstance(value, Path) else value

        return {name: as_json(getattr(self, name)) for name in option_names(TrainOptions)}


def from_plain(values: dict[str, object]) -> TrainOptions:
    """The options that `plain` turned into JSON values; one that is not there is the default."""
    known = option_names(TrainOptions)
    # what versions did that did not name it
    earlier = {"precision": "fp32", "split_digits": False, "recipe": "plan"}
    merged = TrainOptions().plain() | earlier | {k: v for k, v in values.items() if k in known}
    if merged["threads"] is None:  # what earlier versions saved for "auto"
        merged["threads"] = "auto"
    data = merged.pop("data")
    assert isinstance(data, list)
    paths = {
        name: None if merged[name] is None else Path(str(merged[name]))
        for name in ("val", "out", "init", "tokenizer")
    }
    return TrainOptions(**{**merged, "data": tuple(map(Path, data)), **paths})  # type: ignore[arg-type]
