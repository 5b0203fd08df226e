"""Let a Python function teach a model: `python -m vidya.rl --reward module:function`."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from vidya.errors import UserError, run_command
from vidya.posttraining.reinforcement.options import RlOptions
from vidya.terminal.command_line import parse

if TYPE_CHECKING:
    from vidya.posttraining.reinforcement.loop import RlOutcome
    from vidya.posttraining.reinforcement.prompts import Turns
    from vidya.posttraining.trained_run import TrainedRun


def main() -> int | None:
    """Parse the command line and run; see `RlOptions` for the options."""
    options = parse(RlOptions, "rl")
    options.check()
    try:
        return run(options)
    except MemoryError as error:
        raise UserError(
            "not enough memory: choose a smaller --group, --prompts-per-step or --max-tokens"
        ) from error


def run(options: RlOptions) -> int:
    """Learn from the reward, save, and say what came out; returns the exit status."""
    # The imports below load NumPy and the kernels: not needed for --help.
    from vidya.posttraining.reinforcement.judge import Judge, settings_of
    from vidya.posttraining.reinforcement.loop import RlRun
    from vidya.posttraining.reinforcement.prompts import read_prompts
    from vidya.posttraining.trained_run import open_trained_run
    from vidya.storage.metrics_log import MetricsWriter
    from vidya.system.stop_signal import StopSignal
    from vidya.terminal.progress_display import ProgressDisplay
    from vidya.training import thread_choice

    judge = Judge(options.reward, settings_of(options.settings))
    given = None if options.prompts is None else read_prompts(options.prompts)
    thread_choice.use(options.threads)
    # a pass takes as many tokens as the model's buffers are ever made for
    with open_trained_run(options.model, max_tokens=1 << 30) as student:
        learning = RlRun(student, judge, _prompts(student, given, options.seed), options)
        _introduce(student, options)
        interruption = StopSignal()
        with (
            interruption.watching(),
            MetricsWriter(student.run.rl_metrics) as log,
            ProgressDisplay(options.steps, 0) as display,
        ):
            outcome = learning.run(log, display, interruption)
        return _farewell(student, options, outcome, interruption.signal)


def _prompts(student: TrainedRun, given: list[Turns] | None, seed: int) -> Iterator[Turns]:
    from vidya.posttraining.reinforcement.prompts import first_messages, in_random_order

    if given is not None:
        return in_random_order(given, seed)
    if student.corpus is None:
        raise UserError(
            f"{student.run.path} has no train.tokens to take prompts from: give --prompts FILE"
        )
    return first_messages(student.corpus.train, student.tokenizer, seed)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _introduce(student: TrainedRun, options: RlOptions) -> None:
    _say(
        f"{student.origin['name']} learns from {' '.join([options.reward, *options.settings])}: "
        f"{options.steps:,} steps of {options.prompts_per_step} prompts, "
        f"{options.group} replies to each"
    )
    if student.corpus is None or student.corpus.held_out is None:
        _say(f"{student.run.path} holds no held-out text: what is forgotten is not measured")


def _farewell(
    student: TrainedRun, options: RlOptions, outcome: RlOutcome, signal_number: int | None
) -> int:
    """Say what came out and where it is."""
    first, last = outcome.first, outcome.last
    lines = []
    if first and last:
        lines.append(
            f"replies:        {first.tokens:.1f} -> {last.tokens:.1f} tokens, reward "
            f"{first.reward:.3f} -> {last.reward:.3f}, KL {last.divergence:.4f} nats per token"
        )
    if len(outcome.held_out) > 1:
        before, after = outcome.held_out[0].loss, outcome.held_out[-1].loss
        lines.append(
            f"held-out:       loss {before:.4f} -> {after:.4f} ({after / before - 1:+.1%})"
        )
    folder = shlex.quote(str(student.run.path))
    if outcome.step:
        lines += [
            f"model:          {student.path}, after step {outcome.step}",
            f"talk to it:     python -m vidya.chat {folder}",
            f"see its course: python -m vidya.plot {folder} --what rl",
        ]
    if outcome.end == "interrupted":
        saved = f"saved as {student.path}" if outcome.step else "nothing was learnt, nothing saved"
        _say(f"stopped after step {outcome.step} of {options.steps}: {saved}")
    elif not outcome.step:
        lines.append("nothing was saved: the first steps forgot too much: lower --lr")
    print("\n".join(lines))
    return 128 + (signal_number or signal.SIGINT) if outcome.end == "interrupted" else 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
