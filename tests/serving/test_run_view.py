"""The run as the page has it."""

import json

from vidya.serving.run_view import MOST_POINTS, RunView

ABOUT = {"kind": "run", "options": {"preset": "nano", "steps": 2000}}


def training_line(step, loss=4.0):
    return {
        "step": step, "tokens": 100 * step, "loss": loss, "tokens_per_s": 50.0,
        "time_s": 2.0 * step,
    }  # fmt: skip


def write(folder, lines):
    with open(folder / "metrics.jsonl", "a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def test_a_run_that_goes_on_is_followed(tmp_path):
    view = RunView(tmp_path)
    assert view.now()["state"] == "none"
    write(tmp_path, [ABOUT, *map(training_line, range(1, 1001))])
    seen = view.now()
    assert (seen["step"], seen["steps"], seen["preset"]) == (1000, 2000, "nano")
    assert seen["state"] == "stopped" and seen["seconds_left"] is None
    assert 0 < len(seen["curve"]) <= MOST_POINTS and len(seen["speed"]) <= MOST_POINTS
    assert seen["curve"][0][0] < seen["curve"][-1][0] <= 1001
    write(tmp_path, [{"step": 2000, "val_loss": 3.5, "val_bpb": 1.5}, training_line(2000)])
    (tmp_path / "samples.txt").write_text("step 1\n  old\n\nstep 2000\n  'a' → 'b'\n")
    seen = view.now()
    assert seen["state"] == "finished" and seen["evaluations"] == [[2000.0, 3.5, 1.5]]
    assert seen["samples"] == ["step 2000", "  'a' → 'b'"]


def test_numbers_that_are_none_are_null_in_json(tmp_path):
    write(tmp_path, [ABOUT, training_line(1, "NaN"), training_line(2)])
    seen = RunView(tmp_path).now()
    assert json.loads(json.dumps(seen, allow_nan=False)) == seen
