"""Preflight's checks of checkpoints: a run goes on from its own, and from no other model's."""

from __future__ import annotations

import hashlib
from pathlib import Path

from vidya.model import config, presets
from vidya.model.transformer import Model
from vidya.planning.preflight_run import CheckedRun, CheckFailed, fail_unless, take_step
from vidya.storage import checkpoint
from vidya.storage.checkpoint_format import CheckpointError
from vidya.terminal.formatting import byte_size
from vidya.training.run_checkpoints import RunCheckpoints
from vidya.training.training_run import TrainingRun

MORE_STEPS = 2
"""Steps that a resumed run must take as the one that was never stopped."""


def resume(checked: CheckedRun) -> str:
    """A checkpoint is written under its name, and a run goes on from it bit for bit."""
    made = checked.run
    begun = made.progress.step
    RunCheckpoints(made).save_now()
    expected = f"{presets.checkpoint_base(checked.options.preset)}_{begun}.bin"
    fail_unless((checked.folder.path / expected).is_file(), f"no {expected} was written")
    losses = [take_step(made) for _ in range(MORE_STEPS)]
    never_stopped = _state(made)
    for array in (made.model.flat, made.optimizer.m, made.optimizer.v):
        array[...] = 7.0  # nothing of it may be left
    path, tensors, meta = checkpoint.load_newest(checked.folder.path, made.base, _damaged)
    made.restore(tensors, meta, path)
    fail_unless(made.progress.step == begun, f"{path.name} goes on at step {made.progress.step}")
    fail_unless(
        [take_step(made) for _ in range(MORE_STEPS)] == losses and _state(made) == never_stopped,
        f"{MORE_STEPS} steps after {path.name} differ from those of the run that went on",
    )
    return f"{path.name}, {byte_size(path.stat().st_size)}: same bits after {MORE_STEPS} more steps"


def _damaged(path: Path, reason: str) -> None:
    raise CheckFailed(f"{path.name} was read as damaged: {reason}")


def _state(made: TrainingRun) -> tuple[bytes, ...]:
    arrays = (made.model.flat, made.optimizer.m, made.optimizer.v)
    return tuple(hashlib.blake2b(array.data).digest() for array in arrays)


def refusal(checked: CheckedRun) -> str:
    """A checkpoint of another preset is refused, with what differs, and changes nothing."""
    made = checked.run
    other = "10m" if checked.options.preset != "10m" else "nano"
    theirs = presets.preset(other).model(259 + presets.preset(other).merges, 0.1)
    wrong = Model(theirs)
    wrong.init(0)
    path = checked.folder.checkpoint(made.base, 999_999)
    meta = made.metadata("training") | {"config": config.describe(theirs), "preset": other}
    before = _state(made)
    try:
        checkpoint.save(path, wrong.parameters, meta)
        made.restore(*checkpoint.load(path), path)
    except CheckpointError as error:
        said = str(error)
    else:
        raise CheckFailed(f"a checkpoint of {other} was taken for one of {checked.options.preset}")
    finally:
        path.unlink(missing_ok=True)
    mine = config.describe(made.model.config)
    differ = [
        f"{name} is {there} there, {mine[name]} here"
        for name, there in config.describe(theirs).items()
        if name != "dropout" and there != mine[name]
    ]
    unnamed = [what for what in differ if what not in said]
    fail_unless(
        not unnamed, f"the refusal of {other} does not say that {'; '.join(unnamed)}: {said}"
    )
    fail_unless(_state(made) == before, f"the refused checkpoint of {other} changed the run")
    return f"{other}: {'; '.join(differ)}"
