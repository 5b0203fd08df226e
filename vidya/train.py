"""Train a chat model from scratch: `python -m vidya.train`.

Prepares tokenizer and token caches in the run folder, chooses the length of the
run, trains, and says how to talk to the model. `--resume` goes on with a run.
"""

from __future__ import annotations

import dataclasses
import signal
import sys
from typing import TYPE_CHECKING, Any

from vidya.command_line import parse
from vidya.errors import UserError, run_command
from vidya.options import TrainOptions, resumed

if TYPE_CHECKING:
    from vidya.run_folder import RunFolder
    from vidya.trainer import Trainer


def main() -> int | None:
    """Parse the command line and run a training; see `TrainOptions` for the options."""
    options = parse(TrainOptions, "train")
    options.check()
    # The imports below load NumPy and the kernels: not needed for --help.
    from vidya.run_folder import RunFolder

    with RunFolder(options.folder()) as run:
        trainer = _resume(run, options) if options.resume else _start(run, options)
        return _train(run, trainer)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _start(run: RunFolder, options: TrainOptions) -> Trainer:
    """A fresh run, its length chosen."""
    from vidya import schedule
    from vidya.corpora import prepare
    from vidya.trainer import Trainer, use_threads

    _make_room(run, options)
    use_threads(options.threads)
    trainer = Trainer(run, options, prepare(run, options, _say, tokenizer_hash=None))
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
    assert options.steps is not None
    schedule.learning_rate(
        0,
        total_steps=options.steps,
        peak=options.peak_lr(),
        warmup_steps=schedule.fit_warmup(options.warmup_steps(), options.steps),
        floor=options.lr_floor,
    )
    run.metrics.unlink(missing_ok=True)
    return trainer


def _make_room(run: RunFolder, options: TrainOptions) -> None:
    """Refuse a folder that holds a run already, or empty it if that was asked for."""
    there = sorted(run.path.glob("microgpt_chat_*.bin"))
    if not there:
        return
    if not options.overwrite:
        raise UserError(
            f"{run.path} already holds a run ({there[-1].name}): go on with it with --resume, "
            "choose another --out, or replace it with --overwrite"
        )
    for path in [*there, run.metrics, run.samples]:
        path.unlink(missing_ok=True)


def _resume(run: RunFolder, options: TrainOptions) -> Trainer:
    """The run that the folder holds, at its newest whole checkpoint."""
    from vidya import checkpoint, metrics
    from vidya.corpora import prepare
    from vidya.trainer import Trainer, use_threads

    base = _base_to_resume(run, options)
    path, tensors, meta = checkpoint.load_newest(
        run.path, base, lambda _, reason: _say(f"passing over a damaged checkpoint: {reason}")
    )
    saved = dict(meta["options"])
    if options.preset == TrainOptions().preset:
        options = dataclasses.replace(options, preset=saved["preset"], out=run.path)
    options = resumed(options, saved)
    use_threads(options.threads)
    corpora = prepare(run, options, _say, tokenizer_hash=meta["tokenizer_hash"])
    trainer = Trainer(run, options, corpora)
    trainer.restore(tensors, meta, path)
    metrics.truncate_after(run.metrics, trainer.progress.step)
    _describe_model(trainer)
    _say(f"going on from {path}, step {trainer.progress.step:,} of {options.steps:,}")
    return trainer


def _base_to_resume(run: RunFolder, options: TrainOptions) -> str:
    """Stem of the checkpoints to resume: the preset's, or those of the only other preset."""
    from vidya import checkpoint
    from vidya.config import PRESETS, checkpoint_base

    base = checkpoint_base(options.preset)
    if checkpoint.training_checkpoints(run.path, base):
        return base
    if options.preset == TrainOptions().preset:
        others = [
            other
            for other in map(checkpoint_base, PRESETS)
            if checkpoint.training_checkpoints(run.path, other)
        ]
        if len(others) == 1:
            return others[0]
    return base


def _describe_model(trainer: Trainer) -> None:
    from vidya import kernels

    config, options = trainer.model.config, trainer.options
    parameters = f"{config.parameter_count() / 1e6:.1f} M parameters"
    _say(
        f"model {options.preset}: {parameters} ({config.n_embd} wide, {config.n_layer} layers, "
        f"{config.n_head} heads, context {config.context}, vocabulary {config.vocab_size}); "
        f"fp32, {kernels.get_num_threads()} threads, {kernels.get_isa()}"
    )


def _train(run: RunFolder, trainer: Trainer) -> int:
    from vidya.metrics import MetricsWriter
    from vidya.progress import Display

    total, interruption = trainer.options.steps, trainer.interrupted
    assert total is not None
    if trainer.progress.step >= total:
        raise UserError(
            f"the run in {run.path} is finished (step {trainer.progress.step}): "
            f"give it more with --steps {2 * trainer.progress.step}"
        )
    with (
        interruption.watching(),
        MetricsWriter(run.metrics) as log,
        Display(total, trainer.progress.step) as display,
    ):
        log.write(_description(trainer))
        trainer.train(log, display)
        if trainer.progress.step == total:
            trainer.save_final()
    return _farewell(run, trainer, interruption.signal)


def _description(trainer: Trainer) -> dict[str, Any]:
    from vidya import config, kernels, metrics

    return metrics.describe_run(
        config=config.describe(trainer.model.config),
        options=trainer.options.plain(),
        seed=trainer.options.seed,
        threads=kernels.get_num_threads(),
        precision="fp32",
        tokenizer_hash=trainer.corpora.tokenizer.hash,
        corpus_hash=trainer.corpora.corpus_hash,
        openblas=kernels.openblas_config(),
    )


def _farewell(run: RunFolder, trainer: Trainer, signal_number: int | None) -> int:
    """Say where things are and what can be done next; returns the exit status."""
    from vidya.progress import duration

    progress, total, out = trainer.progress, trainer.options.steps, run.path
    assert total is not None
    if progress.step < total:
        _say(
            f"stopped at step {progress.step} of {total}; saved as "
            f"{run.checkpoint(trainer.base, progress.step)}"
        )
        _say(f"go on:  python -m vidya.train --resume --out {out}")
        return 128 + (signal_number or signal.SIGINT)
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
