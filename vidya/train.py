"""Train a chat model from scratch: `python -m vidya.train`.

Prepares tokenizer and token caches in the run folder, chooses the length of the
run, trains, and says how to talk to the model. `--resume` goes on with a run.
"""

from __future__ import annotations

import dataclasses
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidya.errors import UserError, place_chosen_with, run_command
from vidya.terminal.command_line import parse
from vidya.training.options import TrainOptions, from_plain, resumed

if TYPE_CHECKING:
    from vidya.storage.run_folder import RunFolder
    from vidya.training.initial_weights import InitialWeights
    from vidya.training.trainer import Trainer


@place_chosen_with("--out")
def main() -> int | None:
    """Parse the command line and run a training; see `TrainOptions` for the options."""
    options = parse(TrainOptions, "train")
    options.check()
    if options.resume and not options.folder().is_dir():
        raise UserError(f"there is no folder {options.folder()} to resume: name it with --out")
    # The imports below load NumPy and the kernels: not needed for --help.
    from vidya.storage.run_folder import RunFolder
    from vidya.training import initial_weights

    initial = None
    if options.init is not None:
        initial = initial_weights.load(options.init)
        options = _options_to_begin_with(initial)
    with RunFolder(options.folder()) as run:
        try:
            trainer = _resume(run, options) if options.resume else _start(run, options, initial)
            initial = None  # copied: its memory is given back
            return _train(run, trainer)
        except MemoryError as error:
            raise UserError(
                "not enough memory: choose a smaller --preset, --n-embd, --n-layer, --context or "
                "--tokens-per-step"
            ) from error


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _options_to_begin_with(initial: InitialWeights) -> TrainOptions:
    """What the command line says, and the architecture of the weights where it says nothing."""
    options = parse(TrainOptions, "train", default=initial.defaults())
    options.check()
    initial.require_same(options)
    return options


def _start(run: RunFolder, options: TrainOptions, initial: InitialWeights | None) -> Trainer:
    """A fresh run, its length chosen."""
    from vidya.model.precision import resolve_precision
    from vidya.text.tokenizer_training import check_merges
    from vidya.training import thread_choice
    from vidya.training.run_corpora import prepare, remember, survey
    from vidya.training.tensorboard import summary_writer
    from vidya.training.trainer import Trainer

    if initial is not None:
        initial.require_outside(run.path)
    _refuse_occupied(run, options)
    check_merges(options.n_merges())
    resolve_precision(options.precision)
    if options.tensorboard:
        summary_writer()
    sources = survey(options, run)
    # Nothing is deleted before all that the user gave has been looked at.
    run.delete_model()
    thread_choice.use(options.threads)
    corpora = prepare(
        run,
        options,
        _say,
        tokenizer_hash=None,
        sources=sources,
        given_tokenizer=initial.tokenizer if initial else None,
    )
    trainer = Trainer(run, options, corpora, initial)
    remember(run, options, sources)
    if initial is not None:
        _say(f"beginning with the weights of {initial.origin['path']}")
    trainer.choose_threads(_say)
    _describe_model(trainer)
    if options.steps is None:
        steps, seconds = trainer.measure_length()
        trainer.options = options = dataclasses.replace(options, steps=steps)
        tokens = trainer.plan.tokens_in_epoch / trainer.plan.steps_in_epoch(0)
        _say(
            f"{seconds:.2f} s a step of {tokens:,.0f} tokens ({tokens / seconds:,.0f} tokens/s): "
            f"{steps:,} steps, {steps * tokens / trainer.plan.tokens_in_epoch:.2f} passes, about "
            f"{steps * seconds / 60:.0f} minutes; --steps {steps} repeats this run exactly"
        )
    trainer.require_room()
    return trainer


def _refuse_occupied(run: RunFolder, options: TrainOptions) -> None:
    """Refuse a folder that holds a run already, unless that is to be replaced."""
    there = [*run.journals(), *run.checkpoints()]
    if there and not options.overwrite:
        raise UserError(
            f"{run.path} already holds a run ({there[-1].name}): go on with it with --resume, "
            "choose another --out, or replace it with --overwrite"
        )


def _resume(run: RunFolder, options: TrainOptions) -> Trainer:
    """The run that the folder holds, at its newest whole checkpoint."""
    from vidya.storage import checkpoint, metrics_log
    from vidya.training import thread_choice
    from vidya.training.run_corpora import prepare, remember, survey
    from vidya.training.samples import truncate_samples
    from vidya.training.trainer import Trainer

    base = _base_to_resume(run, options)
    path, tensors, meta = checkpoint.load_newest(
        run.path, base, lambda _, reason: _say(f"passing over a damaged checkpoint: {reason}")
    )
    _require_this_run(run, meta, path)
    options = _options_to_resume(run, meta["options"])
    thread_choice.use(options.threads)
    sources = survey(options, run)
    if sources.train.summary.hash != meta["corpus_hash"]:
        raise UserError(
            f"{path} was trained on another corpus than the one given: "
            "give the same --data, or start another run with --out"
        )
    tokenizer_hash = meta["tokenizer_hash"]
    corpora = prepare(run, options, _say, tokenizer_hash=tokenizer_hash, sources=sources)
    trainer = Trainer(run, options, corpora)
    trainer.restore(tensors, meta, path)
    _refuse_finished(run, trainer)
    remember(run, options, sources)
    trainer.require_room()
    trainer.choose_threads(_say)
    step = trainer.progress.step
    evaluated = trainer.progress.evaluated == step
    metrics_log.truncate_after(run.metrics, step, evaluated=evaluated)
    truncate_samples(run.samples, step if evaluated else step - 1)
    _describe_model(trainer)
    _say(f"going on from {path}, step {trainer.progress.step:,} of {options.steps:,}")
    return trainer


def _base_to_resume(run: RunFolder, options: TrainOptions) -> str:
    """Stem of the checkpoints to resume: the preset's, or those of the only other preset."""
    from vidya.model.presets import PRESETS, checkpoint_base
    from vidya.storage.checkpoint_folder import training_checkpoints

    base = checkpoint_base(options.preset)
    if training_checkpoints(run.path, base):
        return base
    if options.preset == TrainOptions().preset:
        others = [
            other
            for other in map(checkpoint_base, PRESETS)
            if training_checkpoints(run.path, other)
        ]
        if len(others) == 1:
            return others[0]
    return base


def _require_this_run(run: RunFolder, meta: dict[str, Any], path: Path) -> None:
    """Refuse a checkpoint of another run that came to lie under the name of this one's."""
    from vidya.storage import checkpoint, metrics_log

    if meta.get("kind") != "training":
        raise UserError(f"{path} is no training checkpoint: move it away to resume without it")
    if not run.metrics.exists():
        return
    first = next(iter(metrics_log.read_metrics(run.metrics, on_damaged=lambda _: None)), {})
    if first.get("kind") == "run":
        checkpoint.require_same(
            meta, config=first["config"], tokenizer_hash=first["tokenizer_hash"], path=path
        )


def _options_to_resume(run: RunFolder, saved: dict[str, object]) -> TrainOptions:
    """What the command line says, and the run's own options where it says nothing."""
    known = from_plain(saved)
    # what was asked for once
    known = dataclasses.replace(known, out=run.path, overwrite=False, profile=False, init=None)
    if known.threads == "measure":
        known = dataclasses.replace(known, threads="auto")
    given = parse(TrainOptions, "train", default=known)
    return resumed(dataclasses.replace(given, out=run.path), known)


def _refuse_finished(run: RunFolder, trainer: Trainer) -> None:
    step, total = trainer.progress.step, trainer.options.steps
    assert total is not None
    if step >= total:
        raise UserError(
            f"the run in {run.path} is finished (step {step}): give it more with --steps {2 * step}"
        )


def _describe_model(trainer: Trainer) -> None:
    from vidya import kernels

    config, options = trainer.model.config, trainer.options
    parameters = f"{config.parameter_count() / 1e6:.1f} M parameters"
    threads = kernels.get_num_threads()
    _say(
        f"model {options.preset}: {parameters} ({config.n_embd} wide, {config.n_layer} layers, "
        f"{config.n_head} heads, context {config.context}, vocabulary {config.vocab_size}); "
        f"{trainer.model.precision}, {threads} thread{'s' * (threads > 1)}, {kernels.get_isa()}"
    )
    _say(trainer.memory_plan().line())


def _train(run: RunFolder, trainer: Trainer) -> int:
    from vidya.storage.metrics_log import MetricsWriter
    from vidya.terminal.progress_display import ProgressDisplay

    total, interruption = trainer.options.steps, trainer.interrupted
    assert total is not None
    with (
        interruption.watching(),
        MetricsWriter(run.metrics) as log,
        ProgressDisplay(total, trainer.progress.step) as display,
    ):
        log.write(_description(trainer))
        trainer.train(log, display)
    return _farewell(run, trainer, interruption.signal)


def _description(trainer: Trainer) -> dict[str, Any]:
    from vidya import kernels
    from vidya.model import config
    from vidya.storage import run_description

    return run_description.describe_run(
        config=config.describe(trainer.model.config),
        options=trainer.options.plain(),
        seed=trainer.options.seed,
        threads=kernels.get_num_threads(),
        precision=trainer.model.precision,
        tokenizer_hash=trainer.corpora.tokenizer.hash,
        corpus_hash=trainer.corpora.corpus_hash,
        openblas=kernels.openblas_config(),
        init=trainer.origin,
    )


def _farewell(run: RunFolder, trainer: Trainer, signal_number: int | None) -> int:
    """Say where things are and what can be done next; returns the exit status."""
    from vidya.terminal.formatting import duration

    progress, total = trainer.progress, trainer.options.steps
    out = shlex.quote(str(run.path))
    assert total is not None
    if progress.step < total:
        _say(
            f"stopped at step {progress.step} of {total}; saved as "
            f"{run.checkpoint(trainer.base, progress.step)}"
        )
        _say(f"go on:  python -m vidya.train --resume --out {out}")
        return 128 + (signal_number or signal.SIGINT)
    if trainer.writer.saves:
        _say(
            f"{trainer.writer.saves} checkpoints were written beside training; none kept it "
            f"waiting for more than {1000 * trainer.writer.longest_stall:.1f} ms"
        )
    held_out = trainer.last_held_out
    result = f", held-out loss {held_out.loss:.4f}" if held_out else ""
    result += f" ({held_out.bits_per_byte:.4f} bits per byte)" if held_out else ""
    print(
        f"trained {total:,} steps, {progress.tokens:,} tokens in {duration(progress.time_s)}"
        f"{result}\n"
        f"model:                {run.checkpoint(trainer.base)}\n"
        f"talk to it:           python -m vidya.chat {out}\n"
        f"train it further:     python -m vidya.train --resume --out {out} --steps {2 * total}\n"
        f"see its curve:        python -m vidya.plot {out}\n"
        "train the 25M model:  python -m vidya.train --preset 25m"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
