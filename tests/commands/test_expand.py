"""`python -m vidya.expand`: what it refuses, and that its last words work."""

import re

import pytest
from support.commands import run_command_process
from support.growing_runs import BIG, BIGGER, as_in_fp32, expand, losses
from support.training_runs import lines_of, snapshot, train

from vidya.errors import UserError
from vidya.storage.checkpoint_format import read_digest

pytestmark = pytest.mark.auto_precision


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"n_embd": 16, "n_head": 1}, "n_embd is 32 and cannot become 16"),
        ({"n_embd": 64, "n_head": 1}, "are 32 (32/1) and cannot become 64 (64/1)"),
        ({"n_embd": 32, "n_layer": 1, "n_head": 1, "context": 32}, "has this size already"),
        ({"preset": "huge"}, "unknown preset 'huge'"),
        ({"tokenizer": "none.json"}, "cannot read the tokenizer none.json"),
        ({"val": "none.txt"}, "cannot read none.txt"),
        ({"eval_tokens": 0}, "--eval-tokens must be at least 1"),
        ({"seed": -1}, "--seed must be in"),
        ({"out": "run"}, "run is not empty: choose another --out"),
        ({"out": "small.txt"}, "small.txt is not a folder"),
        ({"threads": 0}, "--threads must be"),
    ],
)
def test_refusals_write_nothing(growing_work, options, says):
    before = snapshot(growing_work)
    with pytest.raises(UserError) as caught:
        expand(**options)
    assert says in str(caught.value) and "\n" not in str(caught.value)
    assert snapshot(growing_work) == before


def test_a_second_time_is_refused(growing_work):
    expand(out="big")
    before = snapshot(growing_work)
    with pytest.raises(UserError, match="not empty"):
        expand(out="big")
    assert snapshot(growing_work) == before


def test_the_command_ends_in_a_model_that_can_be_talked_to_and_trained(growing_work):
    def call(module, *arguments):
        done = run_command_process(module, *arguments, cwd=growing_work)
        assert done.returncode == 0, done.stderr
        return done.stdout

    sizes = [f"--{name.replace('_', '-')}={value}" for name, value in BIGGER.items()]
    said = call("expand", "run", *sizes, "--out", "big", "--threads", 1)
    next_command = re.search(r"train on: +python -m vidya\.train (.*)", said)[1].split()
    assert next_command == "--init big --out big_trained --data small.txt".split()
    call("chat", "big", "--prompt", "hello", "--temperature", 0)
    train(*next_command, "--steps", 2, "--threads", 1, "--val-fraction", 0.1, cwd=growing_work)
    first, zero = lines_of("big_trained")[:2]
    assert first["init"] == {"path": f"big/{BIG}", "digest": read_digest(f"big/{BIG}")}
    assert losses(said)["after", 48][0] == as_in_fp32(zero["val_loss"], "big_trained")
    refused = run_command_process("expand", "run", *sizes, "--out", "big", cwd=growing_work)
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
