"""Which checkpoints stay: counted against what a run leaves."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

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


@given(st.data())
def test_no_run_leaves_more_than_the_bound(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("r")
    total, every = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 4))
    keep = data.draw(st.integers(1, 4))
    interruptions = data.draw(st.sets(st.integers(1, total), max_size=10))
    most, _ = leave(folder, total, every, keep, interruptions)
    assert most <= checkpoint_folder.checkpoints_of_run(total, every, keep) + 1
