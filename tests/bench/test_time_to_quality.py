"""The race of recipes and PyTorch: what its parts do, without a race."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

BENCH = Path(__file__).parents[2] / "bench"
if not BENCH.is_dir():  # an installed package has no benchmarks
    pytest.skip("no bench/ here", allow_module_level=True)
sys.path.insert(0, str(BENCH))

import contenders  # noqa: E402 - found through the line above
import time_to_quality as race  # noqa: E402

from vidya.text.batch_plan import Batch  # noqa: E402
from vidya.training.options import TrainOptions  # noqa: E402


def training(name, seed, *curve, seconds=6.0):
    points = (race.Point(step, 100 * step, step * seconds / 60, bits) for step, bits in curve)
    return race.Training(name, seed, seconds, tuple(points))


class Downhill(contenders.Contender):
    """Learns a known amount at every step."""

    def __init__(self, name="vidya fast", first=4.0):
        self.name, self.first, self.steps, self.log = name, first, 0, []

    def reset(self, seed):
        self.steps, self.seed = 0, seed

    def step(self, number, steps):
        self.log.append(number)
        self.steps += 1
        return 10

    def bits_per_byte(self, most_tokens):
        return self.first / (1 + self.steps)


def test_windows_are_padded_on_the_right_and_padding_does_not_count():
    batch = Batch(
        np.array([1, 2, 3, 4], np.int32), np.array([2, -1, 4, 5], np.int32), np.array([0, 1, 4])
    )
    inputs, targets = contenders.padded(batch)
    assert inputs.tolist() == [[1, 0, 0], [2, 3, 4]]
    skip = contenders.IGNORED
    assert targets.tolist() == [[2, skip, skip], [skip, 4, 5]]
    assert inputs.dtype == targets.dtype == np.int64


def test_a_stream_shows_every_block_once_a_pass_in_an_order_of_the_pass():
    def starts(step, seed=3):
        return contenders.stream_rows(101, 10, 2, seed, step).tolist()

    passes = [
        [start for step in range(5) for start in starts(5 * epoch + step)] for epoch in (0, 1)
    ]
    assert [sorted(one) for one in passes] == [list(range(0, 100, 10))] * 2
    assert passes[0] != passes[1]
    assert starts(7) == starts(7) != starts(7, seed=4)
    with pytest.raises(SystemExit, match="shorter than a step"):
        contenders.stream_rows(19, 10, 2, 1, 0)


@pytest.mark.parametrize(
    ("goal", "minutes"), [(5.0, 1.0), (4.0, 1.0), (3.5, 1.5), (3.0, 2.0), (2.25, 2.75), (1.9, None)]
)
def test_minutes_to_a_loss_are_read_off_the_line_between_two_points(goal, minutes):
    one = training("vidya fast", 1, (10, 4.0), (20, 3.0), (30, 2.0))
    assert one.minutes_to(goal) == (None if minutes is None else pytest.approx(minutes))


def test_the_report_says_how_soon_the_best_pytorch_was_reached():
    table = race.report([
        training("vidya fast", 1, (10, 3.0), (40, 1.5)),
        training("vidya fast", 2, (10, 3.0), (40, 1.7)),
        training("vidya plan", 1, (10, 3.4), (40, 2.5)),
        training("torch stream 1024 eager fp32", 1, (10, 3.5), (20, 2.0), seconds=12),
        training("torch windows 512 eager fp32", 1, (10, 3.5), (20, 2.2), seconds=12),
    ])  # fmt: skip
    head, _, fast, plan, anchor, windows = table.splitlines()
    assert "against torch stream 1024 eager fp32 | minutes to its 2.0000" in head
    assert "| 6.000 | 17 | 40 | 0.00 M | 1.6000 (1.5000 to 1.7000) | -20.0% |" in fast
    assert fast.endswith("| 3.15 | 0.79 |")
    assert plan.endswith("| 2.5000 | +25.0% | never | - |")
    assert anchor.endswith("| +0.0% | 4.00 | 1.00 |") and windows.endswith("| never | - |")


def test_without_pytorch_there_is_no_anchor():
    table = race.report([training("vidya fast", 1, (10, 3.0))])
    assert race.anchor_of([]) is None
    assert "against" not in table and "3.0000" in table


def test_speeds_are_medians_of_alternating_turns():
    one, other = Downhill("one"), Downhill("other")
    now = iter(range(1000))
    speeds = race.measure_speeds([one, other], rounds=3, clock=lambda: float(next(now)))
    assert speeds == {"one": pytest.approx(1 / race.TURN_STEPS), "other": speeds["one"]}
    assert one.log == other.log == list(range(4 * race.TURN_STEPS)), "all saw the same steps"


def test_the_fastest_mode_of_each_kind_counts():
    speeds = {"a": 2.0, "b": 1.0, "c": 3.0}
    assert race.best_torch_modes(speeds, {"x": ["a", "b"], "y": ["c"]}) == {"x": "b", "y": "c"}


def test_a_training_is_measured_at_equal_distances_and_at_its_end():
    runner = Downhill()
    done = race.train(runner, 7, 3.0, 20, 4, 100)
    assert [point.step for point in done.curve] == [5, 10, 15, 20] and runner.seed == 7
    assert done.end == race.Point(20, 200, 1.0, 4.0 / 21)
    assert [point.step for point in race.train(runner, 7, 3.0, 2, 4, 100).curve] == [1, 2]


def test_a_training_whose_loss_is_no_number_stops():
    with pytest.raises(SystemExit, match="vidya fast diverged"):
        race.train(Downhill(first=float("nan")), 1, 3.0, 4, 2, 100)


def test_what_was_trained_is_read_again(tmp_path):
    path = tmp_path / "results.json"
    assert race.read_trainings(path) == {"speeds": {}, "trainings": []}
    mine = [training("vidya plan", 1, (10, 3.4)), training("vidya fast", 2, (10, 3.0), (20, 2.0))]
    race.write_trainings(path, {"vidya plan": 0.5}, mine)
    found = race.read_trainings(path)
    assert found["trainings"] == mine and found["speeds"] == {"vidya plan": 0.5}


def test_a_picture_is_drawn(tmp_path):
    race.draw([training("vidya fast", 1, (10, 3.0), (40, 1.5))], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_recipes_are_named_alone_or_with_options():
    base = TrainOptions(preset="nano", recipe="plan", threads=1)
    assert race.vidya_options("fast", base) == dataclasses.replace(base, recipe="fast")
    more = race.vidya_options("plan --lr 2e-3 --decay linear", base)
    assert more == dataclasses.replace(base, lr=2e-3, decay="linear")


@pytest.mark.parametrize("text", ["windows", "windows:", "windows:0", "flow:512", "stream:-4"])
def test_a_kind_of_pytorch_training_that_there_is_not(text):
    with pytest.raises(Exception, match="give windows or stream"):
        race.torch_kind(text)
    assert race.torch_kind("stream:1024") == ("stream", 1024)


@pytest.mark.extras
def test_pytorch_on_the_same_windows_learns_the_same(tmp_path):
    pytest.importorskip("torch")
    text = "".join(f"hello number {n}, how are you?\n" for n in range(60))
    (tmp_path / "text.txt").write_text(text)
    options = TrainOptions(
        preset="nano", n_embd=32, n_layer=2, n_head=2, context=32, merges=20, dropout=0.0,
        threads=1, data=(tmp_path / "text.txt",), val_fraction=0.2, tokens_per_step=64,
        precision="fp32",
    )  # fmt: skip
    with contenders.prepared(tmp_path / "run", options) as (folder, corpora):
        ours = contenders.Vidya("vidya plan", options, folder, corpora)
        theirs = contenders.Torch(
            "torch windows 64 eager fp32", options, folder, corpora, way="windows", tokens=64,
            compiled=False, precision="fp32", threads=1,
        )  # fmt: skip
        assert theirs.bits_per_byte(None) == ours.bits_per_byte(None)
        before = ours.bits_per_byte(None)
        for number in range(20):
            assert ours.step(number, 20) == theirs.step(number, 20)
        assert theirs.bits_per_byte(None) == pytest.approx(ours.bits_per_byte(None), rel=1e-3)
        assert ours.bits_per_byte(None) < 0.9 * before
        stream = contenders.Torch(
            "torch stream 64 eager fp32", options, folder, corpora, way="stream", tokens=64,
            compiled=False, precision="fp32", threads=1,
        )  # fmt: skip
        assert stream.step(0, 20) == 64
