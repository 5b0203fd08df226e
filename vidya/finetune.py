"""Give a trained model a personality: `python -m vidya.finetune FILE ... [--epochs N]`.

- A file of conversations, a line each (`<|user|> ... <|assistant|> ...`), teaches the
  assistant's words; any other file is plain text, such as a book, which teaches every token.
- Half of every step is replay of the corpus that the model was trained on (`--replay`), so
  that it does not forget how to speak.
- The result is BASE_train.bin beside the model, which stays as it is. Where there is a
  BASE_train.bin already, that is what fine-tuning goes on with, and replaces.
- How far it is, and how much was forgotten, is measured before, during and after, and written
  to finetune.jsonl. Ctrl-C saves what has been learnt so far.
"""

# No `from __future__ import annotations` here: tyro reads the annotations in `main`,
# which name things that are imported only when it runs.

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vidya.errors import UserError, run_command
from vidya.posttraining.finetuning.options import FinetuneOptions
from vidya.terminal.command_line import parse
from vidya.terminal.formatting import duration
from vidya.terminal.streams import say

if TYPE_CHECKING:
    from vidya.posttraining.finetuning.loop import FineTuning


def main() -> int | None:
    """Run `python -m vidya.finetune`."""
    import tyro

    @dataclass(frozen=True, kw_only=True)
    class Arguments(FinetuneOptions):
        files: tyro.conf.Positional[tuple[Path, ...]] = ()
        """What to learn: conversations, a line each, or plain text."""

    arguments = parse(Arguments, "finetune", description=__doc__)
    return run(arguments.files, arguments)


def run(files: Sequence[Path], options: FinetuneOptions) -> int:
    """Fine-tune a model on the files and save it; returns the exit status."""
    options.check()
    if not files:
        raise UserError("name a file to learn from: python -m vidya.finetune FILE")
    from vidya.posttraining.finetuning.start import open_finetuning

    try:
        with open_finetuning(files, options) as loop:
            loop.run(loop.trained_run.folder.finetune_metrics)
            _report(loop)
            return loop.exit_status
    except MemoryError as error:
        raise UserError("not enough memory: give a smaller --tokens-per-step") from error


def _report(loop: "FineTuning") -> None:
    """Show what changed, and say what was saved."""
    path = loop.trained_run.path
    if loop.evaluations:
        print("\n".join(loop.table()))
    if loop.saved_step is None:
        say("stopped before the first step: nothing was saved")
    elif loop.interrupted:
        say(
            f"stopped after step {loop.step:,} of {loop.total:,}; the weights of step "
            f"{loop.saved_step:,} are saved as {path}"
        )
    else:
        early = f", of which those of step {loop.saved_step:,} are kept" * loop.stopped_early
        print(
            f"fine-tuned in {loop.step:,} steps{early}, {loop.tokens:,} tokens, "
            f"{duration(loop.time_s)}\n"
            f"model:       {path}\n"
            f"talk to it:  python -m vidya.chat {shlex.quote(str(path.parent))}"
        )


if __name__ == "__main__":
    raise SystemExit(run_command(main))
