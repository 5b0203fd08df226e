"""Checkpoints written beside training: consistent, ordered, and never in its way."""

import os
import resource
import threading
import time

import numpy as np
import pytest

from vidya.errors import UserError
from vidya.storage import background_checkpoint, checkpoint
from vidya.storage.background_checkpoint import CheckpointWriter
from vidya.system.process_memory import resident_bytes


def nothing():
    pass


def state(value, size=1000):
    return {"wte": np.full((2, size), value, np.float32), "adam_m": np.full(size, value + 0.5)}


def begin(writer, path, tensors, step=1, before=nothing, after=nothing):
    writer.begin(path, tensors, {"step": step}, before=before, after=after)


@pytest.fixture
def slow_disk(monkeypatch):
    """`checkpoint.save` waits until it is told to go on; what it was asked for is noted."""
    go_on, asked, save = threading.Event(), [], checkpoint.save

    def slow(path, *rest):
        asked.append(path.name)
        assert go_on.wait(10)
        save(path, *rest)

    monkeypatch.setattr(checkpoint, "save", slow)
    go_on.asked = asked
    yield go_on
    go_on.set()


def test_what_was_there_at_the_beginning_is_saved(tmp_path):
    """Changed after `confirm`, as an optimizer does: the copy is of before."""
    tensors = state(1, 2_000_000)
    with CheckpointWriter() as writer:
        begin(writer, tmp_path / "a.bin", tensors)
        assert writer.undecided
        assert writer.confirm() >= 0
        assert not writer.undecided
        for values in tensors.values():
            values[...] = 99
    loaded, meta = checkpoint.load(tmp_path / "a.bin")
    want = state(1, 2_000_000)
    assert {name: values.tobytes() for name, values in loaded.items()} == {
        name: values.tobytes() for name, values in want.items()
    }
    assert meta == {"step": 1} and writer.saves == 1


def test_nothing_is_visible_before_it_is_confirmed(tmp_path):
    called = []
    with CheckpointWriter() as writer:
        begin(writer, tmp_path / "a.bin", state(1), before=lambda: called.append("before"))
        time.sleep(0.05)
        assert os.listdir(tmp_path) == [] and called == []
        writer.confirm()
    assert os.listdir(tmp_path) == ["a.bin"] and called == ["before"]


def test_what_is_not_confirmed_is_dropped(tmp_path):
    with CheckpointWriter() as writer:
        begin(writer, tmp_path / "a.bin", state(1))
    with pytest.raises(ZeroDivisionError), CheckpointWriter() as writer:
        begin(writer, tmp_path / "a.bin", state(1))
        1 / 0  # noqa: B018
    assert os.listdir(tmp_path) == [] and writer.saves == 0


def test_an_error_elsewhere_waits_for_what_was_confirmed(tmp_path):
    with pytest.raises(ZeroDivisionError), CheckpointWriter() as writer:
        begin(writer, tmp_path / "a.bin", state(1, 500_000))
        writer.confirm()
        1 / 0  # noqa: B018
    checkpoint.load(tmp_path / "a.bin")


def test_before_and_after_stand_around_the_rename(tmp_path):
    path, seen = tmp_path / "a.bin", []
    with CheckpointWriter() as writer:
        begin(
            writer, path, state(1),
            before=lambda: seen.append(path.exists()), after=lambda: seen.append(path.exists()),
        )  # fmt: skip
        writer.confirm()
    assert seen == [False, True]


def test_training_goes_on_while_the_disk_is_slow(tmp_path, slow_disk):
    with CheckpointWriter() as writer:
        start = time.perf_counter()
        begin(writer, tmp_path / "a.bin", state(1))
        stall = writer.confirm()
        for _ in range(3):  # steps
            writer.check()
        assert time.perf_counter() - start < 1 and os.listdir(tmp_path) == []
        assert stall <= writer.longest_stall < 1
        slow_disk.set()
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_second_save_waits_for_the_first_and_says_how_long(tmp_path, slow_disk):
    with CheckpointWriter() as writer:
        begin(writer, tmp_path / "a.bin", state(1))
        writer.confirm()
        threading.Timer(0.2, slow_disk.set).start()
        begin(writer, tmp_path / "b.bin", state(2), step=2)
        assert (tmp_path / "a.bin").exists()
        assert writer.confirm() > 0.1 and writer.longest_stall > 0.1
    assert slow_disk.asked == ["a.bin", "b.bin"]
    assert checkpoint.load(tmp_path / "b.bin")[1] == {"step": 2}


def test_the_copies_are_used_again(tmp_path):
    places = set()
    with CheckpointWriter() as writer:
        for step in (1, 2, 3):
            begin(writer, tmp_path / f"{step}.bin", state(step), step=step)
            writer.confirm()
            writer.finish()
            places.add(tuple(values.ctypes.data for values in writer._copies.values()))
    assert len(places) == 1
    for step in (1, 2, 3):
        assert (checkpoint.load(tmp_path / f"{step}.bin")[0]["wte"] == step).all()


def test_memory_can_be_taken_beforehand(tmp_path):
    """Then the copy takes none, and pages nothing in."""
    tensors = state(1, 2_000_000)
    with CheckpointWriter() as writer:
        # where that memory was another test's before, the process does not grow
        writer.reserve(tensors)
        size = sum(values.nbytes for values in writer._copies.values())
        assert resident_bytes() > size == sum(values.nbytes for values in tensors.values())
        places = [values.ctypes.data for values in writer._copies.values()]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        begin(writer, tmp_path / "a.bin", tensors)
        writer.confirm()
        writer.finish()
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        assert faults < size / 4096 / 2
        assert [values.ctypes.data for values in writer._copies.values()] == places
    assert (checkpoint.load(tmp_path / "a.bin")[0]["wte"] == 1).all()


def test_a_failed_write_is_told_at_the_next_step_and_leaves_the_previous(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    checkpoint.save(path, state(1), {"step": 0})
    before = path.read_bytes()

    def full(*_):
        raise UserError("disk full writing a.bin")

    monkeypatch.setattr(checkpoint, "save", full)
    with pytest.raises(UserError, match="disk full writing"), CheckpointWriter() as writer:
        begin(writer, path, state(2))
        writer.confirm()
        for _ in range(500):
            writer.check()
            time.sleep(0.01)
        pytest.fail("nothing was said")
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.bin"]


def test_a_failed_write_is_told_at_the_end(tmp_path):
    with pytest.raises(UserError, match="No such file"), CheckpointWriter() as writer:
        begin(writer, tmp_path / "no folder" / "a.bin", state(1))
        writer.confirm()


def test_a_copy_that_fails_does_not_hang(tmp_path, monkeypatch):
    def no_memory(array):
        raise MemoryError

    monkeypatch.setattr(background_checkpoint.np, "empty_like", no_memory)
    with pytest.raises(MemoryError), CheckpointWriter() as writer:
        begin(writer, tmp_path / "a.bin", state(1))
        writer.confirm()


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="threads have no priority")
def test_the_writing_thread_gives_way_and_no_other_does(tmp_path):
    nice = {}

    def look():
        nice["writer"] = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    with CheckpointWriter() as writer:
        begin(writer, tmp_path / "a.bin", state(1), before=look)
        writer.confirm()
    assert nice == {"writer": min(19, before + 10)}
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_memory_is_not_taken_anew_under_a_save(tmp_path):
    """The copy that is being filled would be lost, and zeros saved in its place."""
    tensors = {"a": np.arange(5.0, dtype=np.float32)}
    with CheckpointWriter() as writer:
        writer.reserve(tensors)
        begin(writer, tmp_path / "x.bin", tensors)
        with pytest.raises(RuntimeError, match="on its way"):
            writer.reserve(tensors)
        writer.confirm()
    saved, _ = checkpoint.load(tmp_path / "x.bin")
    assert np.array_equal(saved["a"], tensors["a"])
