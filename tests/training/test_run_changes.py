"""A run that is told something anew when it goes on, however it is killed and resumed."""

import dataclasses
import shutil

import pytest
from support.small_runs import session
from support.training_runs import BASE, curve, lines_of, training_lines, weights

from vidya.errors import UserError
from vidya.model.learning_rate import learning_rate
from vidya.storage import checkpoint
from vidya.text.batch_plan import StepSize
from vidya.training.run_changes import in_words, step_sizes

pytestmark = pytest.mark.usefixtures("kernel_settings")
NEW = {"lr": 5e-3, "tokens_per_step": 32, "dropout": 0.3, "beta1": 0.8, "clip": 0.5, "steps": 10}


def test_a_change_holds_through_kills_and_not_before_it(options, stopped):
    plain = stopped("plain")
    for name in ("straight", "killed", "older"):
        shutil.copytree(plain.out, plain.out.with_name(name))
    straight, killed, older = (
        dataclasses.replace(plain, out=plain.out.with_name(name))
        for name in ("straight", "killed", "older")
    )
    said = session(straight, **NEW)
    # killed in the first session with the change, before any checkpoint has it, and after one
    session(killed, until=7, kill=True, **NEW)
    session(killed, until=7, kill=True)
    session(killed, until=9, kill=True)
    session(killed)
    assert curve(killed.out) == curve(straight.out)
    assert weights(killed.out) == weights(straight.out)
    changes = [line for line in lines_of(killed.out) if line.get("kind") == "change"]
    assert [line["step"] for line in changes] == [5]
    assert changes[0]["changes"]["lr"] == [1e-3, 5e-3]
    assert changes[0]["tokens"] == training_lines(killed.out)[4]["tokens"]
    meta = checkpoint.load(killed.out / f"{BASE}_10.bin")[1]
    assert meta["options"]["lr"] == 5e-3 and meta["options"]["tokens_per_step"] == 32
    assert meta["step_sizes"] == [[0, 64, None], [5, 32, None]]
    # the rate goes on where the new schedule has it
    assert training_lines(straight.out)[5]["lr"] == learning_rate(
        5, total_steps=10, peak=5e-3, warmup_steps=1
    )
    assert any(
        line.startswith("changed from step 5 on: --steps 12 → 10, --lr 0.001") for line in said
    )
    assert any("the learning rate goes on at 0.0029" in line for line in said)
    # what comes before the change knows nothing of it
    session(older, until=9, **NEW)
    for step in (5, 8, 9):
        (older.out / f"{BASE}_{step}.bin").unlink()
    session(older)
    session(plain)
    assert curve(older.out) == curve(plain.out) and weights(older.out) == weights(plain.out)
    assert all("kind" not in line or line["kind"] == "run" for line in lines_of(older.out))


def test_a_change_can_be_taken_back_at_once(stopped):
    plain, undone = stopped("plain"), stopped("undone")
    session(undone, until=6, kill=True, tokens_per_step=32, lr=5e-3)
    session(undone, tokens_per_step=64, lr=1e-3)
    session(plain)
    assert weights(undone.out) == weights(plain.out)
    changes = [line["changes"] for line in lines_of(undone.out) if line.get("kind") == "change"]
    assert [one["tokens_per_step"] for one in changes] == [[64, 32], [32, 64]]


def test_what_makes_a_run_stays(stopped):
    one = stopped("one")
    with pytest.raises(UserError, match=r"--seed is 0 in the run .* with --init; or leave it out"):
        session(one, seed=3)
    assert any(
        "--minutes chooses the length when a run begins" in x for x in session(one, minutes=9)
    )


def test_sizes_of_steps_as_a_checkpoint_has_them(options):
    docs = dataclasses.replace(options, docs_per_step=4)
    assert step_sizes(None, 5, options, options) == [StepSize(0, 64, None)]
    changed = step_sizes(None, 5, options, docs)
    assert changed == [StepSize(0, 64, None), StepSize(5, None, 4)]
    recorded = [dataclasses.astuple(one) for one in changed]
    assert step_sizes(recorded, 9, docs, docs) == changed
    assert step_sizes(recorded, 9, docs, options) == [*changed, StepSize(9, 64, None)]
    assert step_sizes(recorded, 5, docs, options) == [StepSize(0, 64, None), StepSize(5, 64, None)]


def test_changes_in_words():
    changed = {"lr": [1e-3, 5e-4], "docs_per_step": [None, 4], "on_spike": ["warn", "skip"]}
    assert in_words(changed) == (
        "--lr 0.001 → 0.0005, --docs-per-step none → 4, --on-spike warn → skip"
    )
