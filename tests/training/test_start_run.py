"""A run before its first step, as the command starts it (tests/commands/test_train.py has more)."""

import dataclasses

import pytest

from vidya.text.tokenizer_training import train_tokenizer
from vidya.training import run_length
from vidya.training.start_run import opened_run

pytestmark = [pytest.mark.auto_precision, pytest.mark.usefixtures("kernel_settings")]


def test_a_run_of_measured_length_keeps_what_auto_precision_meant(options, monkeypatch):
    """Another processor, on which auto means something else, must go on with the same."""
    monkeypatch.setattr(run_length, "TIMING_SECONDS", 0.05)
    measured = dataclasses.replace(options, steps=None, minutes=0.01, precision="auto")
    with opened_run(measured, pytest.fail, lambda _: None) as run:
        assert run.options.precision == run.model.precision != "auto"
        assert run.total_steps >= 1


def test_what_is_recorded_of_the_digits_is_what_a_named_tokenizer_does(options, tmp_path):
    train_tokenizer(["it is 7"] * 9, 5, split_digits=False).save(tmp_path / "t.json")
    given = dataclasses.replace(options, tokenizer=tmp_path / "t.json", merges=None)
    assert given.split_digits
    with opened_run(given, pytest.fail, lambda _: None) as run:
        assert not run.options.split_digits
