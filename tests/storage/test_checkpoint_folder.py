"""Which checkpoints stay: counted against what a run leaves."""

import shutil
from collections import namedtuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidya.errors import UserError
from vidya.storage import checkpoint, checkpoint_folder
from vidya.storage.checkpoint_folder import checkpoint_name, step_of_name, training_checkpoints

BASE = "microgpt_chat_nano_v5"


def leave(folder, total, every, keep, interruptions=()):
    """Save and prune as a run does; the most files at one time, and the steps at the end."""
    most = 0
    for step in range(1, total + 1):
        if step % every == 0 or step == total or step in interruptions:
            path = folder / checkpoint_name(BASE, step)
            checkpoint.save(path, {"wte": np.zeros(1, np.float32)}, {"step": step})
            most = max(most, len(list(folder.iterdir())))
            checkpoint_folder.prune(folder, BASE, keep, checkpoint_folder.milestone_steps(every))
    paths = training_checkpoints(folder, BASE)
    return most, [step_of_name(path.name, BASE) for path in reversed(paths)]


def test_the_newest_and_every_tenth_stay(tmp_path):
    _, steps = leave(tmp_path, 64, 2, 3)
    assert steps == [20, 40, 60, 62, 64]
    assert (
        len(steps) == checkpoint_folder.checkpoints_of_run(64, 2, 3) - 1
    )  # 60 is among the newest


def test_a_run_of_weeks_is_bounded():
    assert checkpoint_folder.checkpoints_of_run(600_000, 10_000, 3) == 8
    bound = checkpoint_folder.run_bytes(33_500_000, 600_000, 10_000, 3)
    assert 9 * 12 * 33.5e6 < bound < 10 * 12 * 33.5e6


@given(st.data())
def test_no_run_leaves_more_than_the_bound(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("r")
    total, every = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 4))
    keep = data.draw(st.integers(1, 4))
    interruptions = data.draw(st.sets(st.integers(1, total), max_size=10))
    most, _ = leave(folder, total, every, keep, interruptions)
    assert most <= checkpoint_folder.checkpoints_of_run(total, every, keep) + 1


def test_the_size_of_a_training_checkpoint(tmp_path):
    count = 300_000
    arrays = {name: np.zeros(count, np.float32) for name in ("wte", "adam_m", "adam_v")}
    checkpoint.save(tmp_path / "a.bin", arrays, {"step": 1})
    size = (tmp_path / "a.bin").stat().st_size
    assert size <= checkpoint_folder.training_checkpoint_bytes(count) < size + 30_000


@pytest.fixture
def free(monkeypatch):
    """Sets how many bytes the disk seems to have left."""
    usage = namedtuple("usage", "free")
    return lambda count: monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(count))


def test_too_little_room_is_one_line(tmp_path, free):
    run = {"parameters": 33_500_000, "total_steps": 600_000, "every": 10_000, "keep": 3}
    needed = checkpoint_folder.run_bytes(*run.values())
    free(needed)
    checkpoint_folder.require_room(tmp_path, BASE, **run)
    free(needed - 1)
    with pytest.raises(UserError) as error:
        checkpoint_folder.require_room(tmp_path, BASE, **run)
    assert str(error.value) == (
        f"the run's checkpoints need 3.9 GB in {tmp_path}, where 3.9 GB are free: free some space, "
        "use another --out, a smaller --keep (now 3) or a larger --checkpoint-every (now 10,000)"
    )


def test_checkpoints_that_are_there_need_no_more_room(tmp_path, free):
    run = {"parameters": 100, "total_steps": 50, "every": 10, "keep": 3}
    needed = checkpoint_folder.run_bytes(*run.values())
    path = tmp_path / checkpoint_name(BASE, 10)
    checkpoint.save(path, {"wte": np.zeros(1000, np.float32)}, {})
    free(needed - path.stat().st_size)
    checkpoint_folder.require_room(tmp_path, BASE, **run)
