"""What a run may be told anew when it goes on, and how that is written down.

A change holds from the step on at which it was made. It stands in the metrics before that
step does, and in every checkpoint after it: a run that is killed goes on with it, and one that
goes on from a checkpoint before it, whose later lines are dropped, knows nothing of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from vidya.errors import UserError
from vidya.terminal.common_options import flag
from vidya.text.batch_plan import StepSize
from vidya.training.options import BY_RECIPE, TrainOptions

_SCHEDULE = ("steps", "lr", "warmup", "lr_floor", "decay")
CHANGES = (
    *_SCHEDULE, "tokens_per_step", "docs_per_step", "dropout", "beta1", "beta2",
    "embedding_lr_scale", "eps", "clip", "on_spike", "eval_every", "eval_tokens", "samples",
    "checkpoint_every", "keep",
)  # fmt: skip
"""Options that a run may be given anew when it goes on; such a change is written down."""
OF_NUMBERS = frozenset(CHANGES[: CHANGES.index("eval_every")])
"""Those that change what is learnt; the others change how often it is looked at or saved."""
OF_SESSION = frozenset(
    "data val tokenizer out resume overwrite threads tensorboard minutes passes profile "
    "verbose".split()
)
"""Options of a session, which may be another each time.

`data`, `val` and `tokenizer` name files, which may have moved: a hash tells whether they are the
same.
"""
_ITS_TOKENS = (
    "the model has learnt its own tokens: python -m vidya.expand --tokenizer gives it others"
)
_ITS_SIZE = "it is the model's size: make a bigger model with python -m vidya.expand"
_ITS_WEIGHTS = "its weights were drawn so (--lr, --beta2, --dropout and --decay may change)"
_REASONS = {
    "preset": _ITS_SIZE, "n_embd": _ITS_SIZE, "n_layer": _ITS_SIZE, "n_head": _ITS_SIZE,
    "context": _ITS_SIZE,
    "merges": _ITS_TOKENS, "split_digits": _ITS_TOKENS,
    "seed": "the order of the documents follows from it: begin a run from these weights with "
    "--init",
    "val_fraction": "text that it was trained on would be held out: measure on other text with "
    "--val FILE",
    "precision": "its numbers would be others: begin a run from these weights with --init",
    "init": "it has begun already", "recipe": _ITS_WEIGHTS,
    "embedding_std": _ITS_WEIGHTS, "hidden_std": _ITS_WEIGHTS, "residual_std": _ITS_WEIGHTS,
}  # fmt: skip


def resumed(given: TrainOptions, saved: TrainOptions, explicit: Iterable[str] = ()) -> TrainOptions:
    """The options of a run that goes on.

    Args:
        given: the command line, read with `saved` for what it leaves out.
        saved: the options of the run.
        explicit: options that the command line names, as far as that is known.

    Raises:
        UserError: an option was given that would make it another run.
    """
    if given.precision == "auto":  # which the run has decided
        given = dataclasses.replace(given, precision=saved.precision)
    asked, known = given.plain(), saved.plain()
    for name, value in asked.items():
        if name not in CHANGES and name not in OF_SESSION and value != known[name]:
            was = unset_word(name) if known[name] is None else known[name]
            raise UserError(
                f"{flag(name)} is {was} in the run to resume and cannot become {value}: "
                f"{_REASONS[name]}; or leave it out, or start another run with --out"
            )
    if given.docs_per_step == saved.docs_per_step and (
        given.tokens_per_step != saved.tokens_per_step or "tokens_per_step" in explicit
    ):
        given = dataclasses.replace(given, docs_per_step=None)
    given.check()
    return given


def unset_word(name: str) -> str:
    """What an option is called that was not given."""
    return "the recipe's" if name.endswith("_std") else "the preset's"


def changes(before: TrainOptions, after: TrainOptions) -> dict[str, list[Any]]:
    """What changed, by option: the value before and that after."""
    found = {}
    for name in CHANGES:
        values = [_in_force(options, name) for options in (before, after)]
        if values[0] != values[1]:
            found[name] = values
    return found


def _in_force(options: TrainOptions, name: str) -> Any:
    if name == "lr":
        return options.peak_lr()
    if name == "warmup":
        return options.warmup_steps()
    if name in BY_RECIPE:
        return options.in_force(name)
    if name == "tokens_per_step" and options.docs_per_step is not None:
        return None  # another limit holds
    return getattr(options, name)


def change_line(
    step: int, tokens: int, time_s: float, changed: Mapping[str, Sequence[Any]]
) -> dict[str, object]:
    """The line of metrics that says what changed after `step` steps."""
    return {
        "kind": "change", "step": step, "tokens": tokens, "time_s": time_s,
        "changes": {name: list(values) for name, values in changed.items()},
    }  # fmt: skip


def is_change(line: Mapping[str, Any]) -> bool:
    """Whether a line of metrics is one that `change_line` makes."""
    changed = line.get("changes")
    return (
        line.get("kind") == "change"
        and isinstance(changed, dict)
        and all(isinstance(pair, list) and len(pair) == 2 for pair in changed.values())
        and all(isinstance(line.get(name), (int, float)) for name in ("step", "tokens", "time_s"))
    )


def changed_at(lines: Iterable[Mapping[str, Any]], step: int, saved: TrainOptions) -> TrainOptions:
    """The options of a checkpoint with the changes that were made in its own step since.

    Args:
        lines: of the run's metrics, those of a kind.
        step: of the checkpoint.
        saved: what the checkpoint says.
    """
    for line in lines:
        if is_change(line) and line["step"] == step:
            after = {name: values[1] for name, values in line["changes"].items()}
            if after.get("tokens_per_step", 0) is None:
                del after["tokens_per_step"]
            saved = dataclasses.replace(saved, **{k: v for k, v in after.items() if k in CHANGES})
    return saved


def step_sizes(
    recorded: Sequence[Sequence[Any]] | None, step: int, saved: TrainOptions, now: TrainOptions
) -> list[StepSize]:
    """The sizes of a run's steps, from its first on.

    Args:
        recorded: as a checkpoint has them; None where they never changed.
        step: of the checkpoint.
        saved: the options that it was written with.
        now: the options that hold from that step on.
    """
    sizes = [StepSize(*one) for one in recorded or [[0, *saved.step_limits()]]]
    if now.step_limits() != saved.step_limits():
        sizes = [one for one in sizes if one.first_step < step]
        sizes.append(StepSize(step, *now.step_limits()))
    return sizes


def tell_changes(
    step: int, before: TrainOptions, after: TrainOptions, say: Callable[[str], None]
) -> None:
    """Say what changes after `step` steps, and what that means for the learning rate."""
    changed = changes(before, after)
    if not changed:
        return
    say(f"changed from step {step:,} on: {in_words(changed)}")
    if changed.keys() & set(_SCHEDULE) and step < (after.steps or 0):
        rate, last = after.rate(step), before.rate(max(0, step - 1))
        say(
            f"the learning rate goes on at {rate:.2g} ({last:.2g} in the step before), of a peak "
            f"of {after.peak_lr():g}, and falls to {after.peak_lr() * after.lr_floor:g} at step "
            f"{after.steps:,}"
        )
    if changed.keys() & {"tokens_per_step", "docs_per_step"}:
        say("the rest of this pass over the corpus follows in its order, in steps of the new size")


def in_words(changed: Mapping[str, Sequence[Any]]) -> str:
    """Changes as one reads them: `--lr 0.001 → 0.0005, --steps 60 → 120`."""
    return ", ".join(
        f"{flag(name)} {_word(name, before)} → {_word(name, after)}"
        for name, (before, after) in changed.items()
    )


def _word(name: str, value: Any) -> str:
    if value is None:
        return "none" if name in ("tokens_per_step", "docs_per_step") else "default"
    return f"{value:g}" if isinstance(value, float) else str(value)
