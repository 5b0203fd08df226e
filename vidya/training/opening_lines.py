"""What is told when a run begins: what, how long and where; all the rest with --verbose."""

from __future__ import annotations

import datetime
import shlex
from collections.abc import Callable

from vidya import kernels
from vidya.storage.find_model import RUNS
from vidya.terminal.formatting import duration, plural
from vidya.training.corpus_notes import corpus_name
from vidya.training.options import TrainOptions
from vidya.training.training_run import TrainingRun

Say = Callable[[str], None]


def detail_lines(options: TrainOptions, say: Say) -> Say:
    """What takes the lines that only --verbose tells."""
    return say if options.verbose else lambda _: None


def tell_opening(run: TrainingRun, documents: int, seconds: float | None, say: Say) -> None:
    """Say in three lines what is trained, how long that takes, and where it goes.

    Args:
        run: whose length is chosen.
        documents: that it learns from.
        seconds: of a step; None where it was not measured.
        say: takes the lines.
    """
    options, plan, total = run.options, run.plan, run.total_steps
    passes = total / plan.steps_in_epoch(0)
    say(
        f"model:   {options.preset}, {run.model.config.parameter_count() / 1e6:.1f} M parameters, "
        f"learns from {plural(documents, 'document')} of {corpus_name(options)}"
    )
    length = f"length:  {plural(total, 'step')}, {passes:.2f} times through the text"
    if seconds is not None:
        end = datetime.datetime.now() + datetime.timedelta(seconds=total * seconds)
        length += (
            f", about {duration(total * seconds)}: done at {end:%H:%M} "
            f"(--steps {total} repeats it exactly)"
        )
    say(length)
    folder = shlex.quote(str(run.folder.path))
    named = (
        "" if str(run.folder.path.parent) == RUNS else f" {folder}"
    )  # where monitor looks by itself
    say(f"folder:  {folder}; Ctrl-C stops and saves; python -m vidya.monitor{named} shows it")


def tell_details(run: TrainingRun, say: Say) -> None:
    """Say what the model is made of, what computes it, and what memory it takes."""
    config, tokens = run.model.config, run.plan.tokens_in_epoch / run.plan.steps_in_epoch(0)
    say(
        f"model {run.options.preset}: {config.parameter_count() / 1e6:.1f} M parameters "
        f"({config.n_embd} wide, {plural(config.n_layer, 'layer')}, "
        f"{plural(config.n_head, 'head')}, context {config.context:,}, vocabulary "
        f"{config.vocab_size:,}); steps of {tokens:,.0f} tokens; {run.model.precision}, "
        f"{plural(kernels.get_num_threads(), 'thread')}, {kernels.get_isa()}"
    )
    say(run.memory_plan().line())
