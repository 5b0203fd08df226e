"""A fine-tuning from beginning to end: model, files and options become a loop, which runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vidya import kernels
from vidya.errors import UserError
from vidya.posttraining.finetuning.loop import FineTuning
from vidya.posttraining.finetuning.options import FinetuneOptions
from vidya.posttraining.finetuning.persona import read_persona
from vidya.posttraining.replay_corpus import ReplayCorpus, corpus_of_file
from vidya.posttraining.trained_run import TrainedRun, open_trained_run
from vidya.storage.checkpoint_format import read_meta
from vidya.storage.find_model import resolve_model
from vidya.terminal.formatting import plural
from vidya.terminal.streams import say
from vidya.text.corpus_file import check_input
from vidya.training import thread_choice


def fine_tune(files: Sequence[Path], options: FinetuneOptions) -> int:
    """Fine-tune a model on the files, save it and say what came of it.

    Args:
        files: what to learn.
        options: checked.

    Returns:
        The exit status.

    Raises:
        UserError: as `open_trained_run`, `read_persona` and `FineTuning.run`; there is nothing
            to replay.
    """
    for path in files:  # before a model is loaded
        check_input(path, tables=True)
    if options.threads != "measure":
        thread_choice.use(options.threads)
    with open_trained_run(
        options.model, max_tokens=_largest_step(options), out=options.out
    ) as trained_run:
        corpus = _corpus(trained_run, options)
        persona = read_persona(
            files, trained_run.tokenizer, loss=options.loss, val_fraction=options.val_fraction,
            context=trained_run.model.config.context, as_is=options.as_is,
        )  # fmt: skip
        options = options.resolved(
            conversations=persona.conversations, taught_tokens=len(persona.taught.tokens),
            val_fraction=persona.val_fraction,
            held_out=persona.held_out is not None, preset=trained_run.meta.get("preset"),
        )  # fmt: skip
        say(f"fine-tuning {trained_run.source}")
        trained_run.tell_what_is_set_aside(say)
        for line in persona.about:
            say(line)
        loop = FineTuning(trained_run, persona, corpus, options, files)
        loop.choose_threads()
        mixed = f"{options.replay:.0%} of them replay" if options.replay else "no replay"
        early = f", stopping early with patience {options.patience}" if options.patience else ""
        passes = plural(options.epochs or 0, "epoch")
        say(
            f"{passes}, {loop.total:,} steps of at most {options.tokens_per_step:,} "
            f"tokens, {mixed}; rate {options.lr:g}, {options.schedule}{early}; "
            f"{plural(kernels.get_num_threads(), 'thread')}"
        )
        return loop.run(trained_run.folder.finetune_metrics)


def _largest_step(options: FinetuneOptions) -> int:
    """Tokens that a step may have: a window of the persona and one of the replay too many."""
    meta = read_meta(resolve_model(options.model)[0])
    try:
        return options.tokens_per_step + 2 * int(meta["config"]["context"])
    except (KeyError, TypeError, ValueError):
        return options.tokens_per_step  # loading it says what is wrong with it


def _corpus(trained_run: TrainedRun, options: FinetuneOptions) -> ReplayCorpus | None:
    """What is replayed and measured on; None where there is none and none is needed."""
    if options.replay_data is not None:
        return corpus_of_file(options.replay_data, trained_run.folder, trained_run.tokenizer)
    if trained_run.corpus is None and options.replay:
        raise UserError(
            f"there is nothing to replay in {trained_run.source.parent} (no train.tokens): name a "
            "corpus file with --replay-data FILE, or switch it off with --replay 0"
        )
    return trained_run.corpus
