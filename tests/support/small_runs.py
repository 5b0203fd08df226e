"""Runs of a tiny model, as the tests of the training loop share them."""

import dataclasses

import pytest
from support.training_runs import BASE, conversations

from vidya.storage import checkpoint
from vidya.storage.metrics_log import MetricsWriter
from vidya.storage.run_folder import RunFolder
from vidya.terminal.progress_display import ProgressDisplay
from vidya.training.options import TrainOptions
from vidya.training.run_corpora import prepare
from vidya.training.start_run import opened_run
from vidya.training.thread_choice import use
from vidya.training.trainer import Trainer
from vidya.training.training_run import TrainingRun


@pytest.fixture
def options(tmp_path):
    (tmp_path / "small.txt").write_text("\n".join(conversations(120)))
    return TrainOptions(
        data=(tmp_path / "small.txt",), out=tmp_path / "run", val_fraction=0.1, merges=20,
        n_embd=32, n_layer=1, n_head=1, context=32, tokens_per_step=64, samples=1, threads=1,
        steps=12, eval_every=3, checkpoint_every=4, keep=9,
    )  # fmt: skip


@pytest.fixture
def new_run(options):
    """Makes a run in a folder, fresh or going on from its newest checkpoint."""

    def make(name="run", *, resume=False, **changes):
        use(1)
        folder = RunFolder(options.out.with_name(name))
        folder.acquire()
        chosen = dataclasses.replace(options, **changes)
        corpora = prepare(folder, chosen, lambda _: None, tokenizer_hash=None)
        made = TrainingRun(folder, chosen, corpora)
        if resume:
            path, tensors, meta = checkpoint.load_newest(folder.path, BASE, pytest.fail)
            made.restore(tensors, meta, path)
        folder.release()
        return made

    return make


def go(run, interrupted=lambda: False):
    """Train to the end, or to an interruption."""
    with (
        MetricsWriter(run.folder.metrics) as log,
        ProgressDisplay(run.options.steps, run.progress.step) as display,
    ):
        log.write(run.description())
        Trainer(run, log, display, interrupted).train()


@pytest.fixture
def straight(new_run):
    """A run that was never stopped."""
    made = new_run("straight")
    go(made)
    return made.folder.path


class KilledError(Exception):
    """What ends a session as a kill does: nothing is saved."""


def session(options, *, until=99, kill=False, resume=True, **given):
    """Train up to a step, fresh or going on with other options; what was said."""
    said = []

    def read(default):
        return dataclasses.replace(default, resume=True, **given)

    first = dataclasses.replace(options, resume=resume, **({} if resume else given))
    with opened_run(first, read, said.append) as run:

        def interrupted():
            if run.progress.step >= until and kill:
                raise KilledError
            return run.progress.step >= until

        with MetricsWriter(run.folder.metrics) as log, ProgressDisplay(99, 0) as display:
            log.write(run.description())
            if run.change is not None:
                log.write(run.change)
            try:
                Trainer(run, log, display, interrupted).train()
            except KilledError:
                pass
    return said


@pytest.fixture
def stopped(options):
    """Makes a run of 12 steps that was stopped after 5."""

    def make(name):
        one = dataclasses.replace(
            options, out=options.out.with_name(name), checkpoint_every=4, precision="fp32"
        )
        session(one, until=5, resume=False)
        return one

    return make
