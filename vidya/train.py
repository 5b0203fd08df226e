"""Train a chat model from scratch: `python -m vidya.train`.

Prepares tokenizer and token caches in the run folder, chooses the length of the
run, trains, and says how to talk to the model. `--resume` goes on with a run.
"""

from __future__ import annotations

import shlex
import signal
from typing import TYPE_CHECKING

from vidya.errors import UserError, place_chosen_with
from vidya.system.stop_signal import StopSignal
from vidya.terminal.command_frame import run_command
from vidya.terminal.command_line import parse
from vidya.terminal.formatting import plural
from vidya.terminal.streams import output_is_not_essential, say, say_next, show, show_next
from vidya.training.options import TrainOptions
from vidya.training.train_help import train_page

if TYPE_CHECKING:
    from vidya.training.trainer import Trainer


@place_chosen_with("--out")
def main() -> int | None:
    """Parse the command line and run a training; see `TrainOptions` for the options."""
    options = parse(TrainOptions, "train", page=train_page())
    options.check()
    if options.resume and not options.folder().is_dir():
        raise UserError(
            f"there is no folder {options.folder()} to resume: name one with --out"
            f"{_others(options)}"
        )
    output_is_not_essential()
    # Loads NumPy and the kernels: not needed for --help.
    from vidya.training import start_run, trainer

    stop, prepared = StopSignal(), False
    try:
        with start_run.opened_run(options, _read_options, say) as run:
            prepared = True
            session = trainer.train_run(run, stop)
            return _farewell(session, stop.signal)
    except KeyboardInterrupt:
        if prepared:
            raise
        say(_interrupted(options))
        return 128 + signal.SIGINT
    except MemoryError as error:
        raise UserError(
            "not enough memory: choose a smaller --preset, --n-embd, --n-layer, --context or "
            "--tokens-per-step"
        ) from error


def _interrupted(options: TrainOptions) -> str:
    """What there is when somebody stops a training that had not begun."""
    kept = "the run is as it was" if options.resume else "no step was trained yet"
    there = options.folder().is_dir() and not options.resume
    prepared = f", what was prepared is kept in {options.folder()}" if there else ""
    return f"interrupted: {kept}{prepared}; the same command begins again"


def _others(options: TrainOptions) -> str:
    """Where else there are folders, for one who has forgotten --out or --preset."""
    parent = options.folder().parent
    there = sorted(path for path in parent.glob("*") if path.is_dir()) if not options.out else []
    return f", of which there are: {', '.join(map(str, there[:5]))}" if there else ""


def _read_options(default: TrainOptions) -> TrainOptions:
    """The command line once more, with other defaults."""
    return parse(TrainOptions, "train", default=default)


def _farewell(session: Trainer, signal_number: int | None) -> int:
    """Say where things are and what can be done next; returns the exit status."""
    from vidya.training.run_outcome import RunOutcome

    run, total, writer = session.run, session.run.total_steps, session.checkpoints.writer
    step, out = run.progress.step, shlex.quote(str(run.folder.path))
    if step < total:
        say(f"stopped at step {step:,} of {total:,}; saved as {session.checkpoints.path()}")
        say_next([("go on", f"python -m vidya.train --resume --out {out}")])
        return 128 + (signal_number or signal.SIGINT)
    if writer.saves and run.options.verbose:
        say(
            f"{plural(writer.saves, 'checkpoint')} written beside training; none kept it "
            f"waiting for more than {1000 * writer.longest_stall:.1f} ms"
        )
    outcome = RunOutcome(run, session.evaluations)
    for line in outcome.lines():
        show(line)
    show_next(outcome.next_steps())
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
