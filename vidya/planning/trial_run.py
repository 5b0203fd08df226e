"""A training tried out in a process of its own: what it takes in memory and time.

The child opens the corpora that stand prepared in a folder, makes the run that a run
would make, and takes its longest step, an evaluation, sampled replies and a checkpoint.
Its memory is then that of a training and of nothing else, and if the system kills it for
want of memory this process lives to say so.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import multiprocessing
import time
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidya import kernels
from vidya.errors import UserError
from vidya.measuring.held_out_loss import held_out_loss
from vidya.model import config
from vidya.storage.run_folder import RunFolder
from vidya.system import process_memory, read_once
from vidya.system.import_path import forgotten_in_children
from vidya.text.batch_plan import BatchPlan
from vidya.training import thread_choice
from vidya.training.memory_plan import MemoryPlan
from vidya.training.options import TrainOptions
from vidya.training.run_checkpoints import RunCheckpoints
from vidya.training.run_corpora import prepare
from vidya.training.run_length import StepSpeed, measure_speed
from vidya.training.samples import sample_replies
from vidya.training.training_run import TrainingRun


@dataclass(frozen=True)
class TrialMemory:
    """Bytes that a training took, beside those that it planned."""

    planned: MemoryPlan
    step: int
    """Most at one time in the longest step."""
    run: int
    """Most at one time, evaluation, sampled replies and a checkpoint included."""


@dataclass(frozen=True)
class Trial:
    """What was found out about a training."""

    config: dict[str, Any]
    """The architecture (`vidya.model.config.describe`)."""
    precision: str
    threads: int
    instructions: str
    memory: TrialMemory
    evaluation: float
    """Seconds of a held-out loss; 0 when the run holds nothing out."""
    samples: float
    """Seconds of the replies sampled at an evaluation."""
    checkpoint: float
    """Seconds of writing a training checkpoint."""
    checkpoint_bytes: int
    batched: StepSpeed | None
    """Of the run's own steps; None when time was not to be measured."""
    documents: StepSpeed | None
    """Of one-document steps."""
    epoch_tokens: int
    """Predictions in a pass over the corpus."""
    epoch_documents: int
    """One-document steps in a pass: windows of documents, of which long ones have several."""


def run_trial(options: TrainOptions, folder: Path, seconds: float | None) -> Trial:
    """Try a training out in a child process.

    Args:
        options: of the run.
        folder: a run folder with the prepared corpora (`vidya.training.run_corpora.prepare`).
        seconds: to measure speed for, twice; None: do not.

    Raises:
        UserError: the child ran out of memory, or what a training raises.
    """
    context = multiprocessing.get_context("spawn")
    adopted = (read_once.copies(),)  # the child has other pipes under the same names
    with (
        forgotten_in_children(),
        concurrent.futures.ProcessPoolExecutor(1, context, read_once.adopt, adopted) as pool,
    ):
        try:
            return pool.submit(rehearse, options, folder, seconds).result()
        except (KeyboardInterrupt, SystemExit):  # leaving: nobody waits for what it finds out
            for process in multiprocessing.active_children():
                process.kill()
            raise
        except (BrokenProcessPool, MemoryError) as error:
            raise UserError(
                "the trial step was killed or found no memory: choose a smaller --preset, "
                "--n-embd, --n-layer, --context or --tokens-per-step"
            ) from error


def rehearse(options: TrainOptions, folder: Path, seconds: float | None) -> Trial:
    """The trial itself, in this process; see `run_trial`."""
    thread_choice.use(options.threads)
    # however short the run: a checkpoint is written beside training, and its copy planned
    options = dataclasses.replace(options, steps=None)
    with RunFolder(folder) as run_folder:
        corpora = prepare(run_folder, options, lambda _: None, tokenizer_hash=None)
        process_memory.give_back()
        process_memory.reset_peak()
        run = TrainingRun(run_folder, options, corpora)
        loss = run.gradients(run.longest_batch())
        run.optimizer.update(0.0, run.optimizer.gradient_norm())
        run.optimizer.reset()
        step_peak = process_memory.peak_bytes()
        if loss != loss:
            raise UserError("the loss of a first step is not a number")
        evaluation, samples = _evaluation(run)
        saving, written = _checkpoint(run)
        taken = TrialMemory(run.memory_plan(), step_peak, process_memory.peak_bytes())
        # measuring threads comes after: the trial's memory is to be that of a training
        run.choose_threads(lambda _: None)
        documents = BatchPlan(
            corpora.train, run.model.config.context, docs_per_step=1, seed=options.seed
        )
        batched = alone = None
        if seconds is not None:
            evaluation, samples = _evaluation(run)
            batched = measure_speed(run, seconds)
            alone = measure_speed(run, seconds, documents)
        return Trial(
            config.describe(run.model.config), run.model.precision,
            kernels.get_num_threads(), kernels.get_isa(), taken, evaluation, samples, saving,
            written, batched, alone, run.plan.tokens_in_epoch, documents.windows_in_epoch,
        )  # fmt: skip


def _evaluation(run: TrainingRun) -> tuple[float, float]:
    """Seconds of a held-out loss and of sampled replies."""
    tokenizer, held_out = run.corpora.tokenizer, run.corpora.held_out
    begun = time.perf_counter()
    if held_out is not None:
        held_out_loss(run.model, tokenizer, held_out, max_tokens=run.options.eval_tokens)
    between = time.perf_counter()
    sample_replies(run.model, tokenizer, run.options.samples)
    return between - begun if held_out is not None else 0.0, time.perf_counter() - between


def _checkpoint(run: TrainingRun) -> tuple[float, int]:
    """Seconds and bytes of a training checkpoint, which is deleted again."""
    start = time.perf_counter()
    path = RunCheckpoints(run).save_now()
    try:
        return time.perf_counter() - start, path.stat().st_size
    finally:
        path.unlink(missing_ok=True)
