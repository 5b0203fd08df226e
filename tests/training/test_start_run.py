"""A run before its first step, as the command starts it (tests/commands/test_train.py has more)."""

import dataclasses

import pytest

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
