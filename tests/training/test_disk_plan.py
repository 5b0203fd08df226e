"""The disk that a run needs, and a run that does not get it."""

import shutil
from collections import namedtuple

import numpy as np
import pytest

from vidya.errors import UserError
from vidya.storage import checkpoint
from vidya.storage.checkpoint_folder import checkpoint_name
from vidya.training import disk_plan

BASE = "microgpt_chat_nano_v5"


def test_a_run_of_weeks_is_bounded():
    bound = disk_plan.run_bytes(33_500_000, 600_000, 10_000, 3)
    assert 9 * 12 * 33.5e6 < bound < 10 * 12 * 33.5e6


def test_checkpoints_of_a_long_run_by_hand():
    one = disk_plan.training_checkpoint_bytes(1_000_000)
    assert one == pytest.approx(12e6, rel=0.01)
    # 60 checkpoints: the newest three, 100k … 500k, and the one being written
    most = disk_plan.run_bytes(1_000_000, 600_000, every=10_000, keep=3)
    assert most == pytest.approx((3 + 5 + 1) * one + 4e6 + 600_000 * 200, rel=0.001)
    assert disk_plan.run_bytes(1_000_000, 10_000, every=10_000, keep=3) < 2 * one


def test_the_size_of_a_training_checkpoint(tmp_path):
    count = 300_000
    arrays = {name: np.zeros(count, np.float32) for name in ("wte", "adam_m", "adam_v")}
    checkpoint.save(tmp_path / "a.bin", arrays, {"step": 1})
    size = (tmp_path / "a.bin").stat().st_size
    assert size <= disk_plan.training_checkpoint_bytes(count) < size + 30_000


@pytest.fixture
def free(monkeypatch):
    """Sets how many bytes the disk seems to have left."""
    usage = namedtuple("usage", "free")
    return lambda count: monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(count))


def test_too_little_room_is_one_line(tmp_path, free):
    run = {"parameters": 33_500_000, "total_steps": 600_000, "every": 10_000, "keep": 3}
    needed = disk_plan.run_bytes(*run.values())
    free(needed)
    disk_plan.require_room(tmp_path, BASE, **run)
    free(needed - 1)
    with pytest.raises(UserError) as error:
        disk_plan.require_room(tmp_path, BASE, **run)
    assert str(error.value) == (
        f"the run's checkpoints need 3.9 GB in {tmp_path}, where 3.9 GB are free: free some space, "
        "use another --out, a smaller --keep (now 3) or a larger --checkpoint-every (now 10,000)"
    )


def test_checkpoints_that_are_there_need_no_more_room(tmp_path, free):
    run = {"parameters": 100, "total_steps": 50, "every": 10, "keep": 3}
    needed = disk_plan.run_bytes(*run.values())
    path = tmp_path / checkpoint_name(BASE, 10)
    checkpoint.save(path, {"wte": np.zeros(1000, np.float32)}, {})
    free(needed - path.stat().st_size)
    disk_plan.require_room(tmp_path, BASE, **run)
