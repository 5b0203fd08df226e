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
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidya.errors import UserError, run_command
from vidya.posttraining.finetuning.options import FinetuneOptions
from vidya.terminal.command_line import parse

if TYPE_CHECKING:
    from vidya.posttraining.finetuning.loop import FineTuning
    from vidya.posttraining.replay_corpus import ReplayCorpus
    from vidya.posttraining.trained_run import TrainedRun


def main() -> int | None:
    """Run `python -m vidya.finetune`."""
    from dataclasses import dataclass

    import tyro

    @dataclass(frozen=True)
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
    from vidya.posttraining.trained_run import open_trained_run
    from vidya.text.corpus_file import open_input
    from vidya.training import thread_choice

    for path in files:  # before a model is loaded
        open_input(path).close()
    if options.threads != "measure":
        thread_choice.use(options.threads)
    try:
        with open_trained_run(options.model, max_tokens=_largest_step(options)) as student:
            return _finetune(student, files, options)
    except MemoryError as error:
        raise UserError("not enough memory: give a smaller --tokens-per-step") from error


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _largest_step(options: FinetuneOptions) -> int:
    """Tokens that a step may have: a window of the persona and one of the replay too many."""
    from vidya.storage.checkpoint_format import read_meta
    from vidya.storage.find_model import resolve_model

    meta = read_meta(resolve_model(options.model)[0])
    try:
        return options.tokens_per_step + 2 * int(meta["config"]["context"])
    except (KeyError, TypeError, ValueError):
        return options.tokens_per_step  # loading it says what is wrong with it


def _finetune(student: "TrainedRun", files: Sequence[Path], options: FinetuneOptions) -> int:
    from vidya.posttraining.finetuning.loop import FineTuning
    from vidya.posttraining.finetuning.persona import read_persona
    from vidya.storage.metrics_log import MetricsWriter
    from vidya.terminal.progress_display import ProgressDisplay

    base = _base_corpus(student, options)
    persona = read_persona(
        files, student.tokenizer, loss=options.loss, val_fraction=options.val_fraction
    )
    options = options.resolved(
        conversations=persona.conversations, preset=student.meta.get("preset")
    )
    _say(f"fine-tuning {student.run.path / student.origin['name']}")
    if student.path.exists() and student.path.name != student.origin["name"]:
        _say(f"{student.path.name}, which is not what this begins with, will be replaced")
    for line in persona.about:
        _say(line)
    work = FineTuning(student, persona, base, options)
    work.choose_threads(_say)
    _say(_plan(work))
    with (
        work.interrupted.watching(),
        MetricsWriter(student.run.finetuning) as log,
        ProgressDisplay(work.total, 0) as display,
    ):
        log.write(_description(work, files))
        work.run(log, display)
    return _farewell(work)


def _base_corpus(student: "TrainedRun", options: FinetuneOptions) -> "ReplayCorpus | None":
    """What is replayed and measured on; None where there is none and none is needed."""
    from vidya.posttraining.replay_corpus import corpus_of_file

    if options.replay_data is not None:
        return corpus_of_file(options.replay_data, student.run, student.tokenizer)
    if student.corpus is None and options.replay:
        raise UserError(
            f"there is nothing to replay in {student.run.path} (no train.tokens): name a corpus "
            "file with --replay-data FILE, or switch it off with --replay 0"
        )
    return student.corpus


def _plan(work: "FineTuning") -> str:
    from vidya import kernels

    options = work.options
    mixed = f"{options.replay:.0%} of them replay" if options.replay else "no replay"
    early = f", stopping early with patience {options.patience}" if options.patience else ""
    threads = kernels.get_num_threads()
    return (
        f"{options.epochs} epochs, {work.total:,} steps of {options.tokens_per_step:,} tokens, "
        f"{mixed}; rate {options.lr:g}, {options.schedule}{early}; "
        f"{threads} thread{'s' * (threads > 1)}"
    )


def _description(work: "FineTuning", files: Sequence[Path]) -> dict[str, Any]:
    from vidya import kernels
    from vidya.model import config
    from vidya.storage import run_description

    student = work.student
    described = run_description.describe_run(
        config=config.describe(student.model.config),
        options=work.options.plain(),
        seed=work.options.seed,
        threads=kernels.get_num_threads(),
        precision=student.model.precision,
        tokenizer_hash=student.tokenizer.hash,
        corpus_hash=work.persona.hash,
        openblas=kernels.openblas_config(),
        init=student.origin,
    )
    return {**described, "kind": "finetune", "files": [str(path) for path in files]}


def _farewell(work: "FineTuning") -> int:
    """Show what changed, and say what was saved; returns the exit status."""
    from vidya.posttraining.finetuning.evaluation import evaluation_table
    from vidya.terminal.formatting import duration

    student, signal_number = work.student, work.interrupted.signal
    if work.evaluations:
        print("\n".join(evaluation_table(work.evaluations, work.kept)))
    if work.saved_step is None:
        _say("stopped before the first step: nothing was saved")
    elif work.step < work.total and not work.stopped_early:
        _say(
            f"stopped after step {work.step:,} of {work.total:,}; the weights of step "
            f"{work.saved_step:,} are saved as {student.path}"
        )
    else:
        early = f", of which those of step {work.saved_step:,} are kept" * bool(work.stopped_early)
        print(
            f"fine-tuned in {work.step:,} steps{early}, {work.tokens:,} tokens, "
            f"{duration(work.time_s)}\n"
            f"model:       {student.path}\n"
            f"talk to it:  python -m vidya.chat {shlex.quote(str(student.run.path))}"
        )
        return 0
    return 128 + (signal_number or signal.SIGINT)


if __name__ == "__main__":
    raise SystemExit(run_command(main))
