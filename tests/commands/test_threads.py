"""The command that times a step with several numbers of threads."""

import json
import sys

import pytest

from vidya import kernels, threads
from vidya.terminal.command_frame import run_command
from vidya.training import thread_choice
from vidya.training.thread_choice import Timing

pytestmark = pytest.mark.usefixtures("kernel_settings")


@pytest.fixture
def command(monkeypatch, capsys):
    def run(*arguments, status=0):
        monkeypatch.setattr(sys, "argv", ["threads", *map(str, arguments)])
        assert run_command(threads.main) == status
        return capsys.readouterr()

    return run


@pytest.fixture
def two_cores(monkeypatch):
    """A machine of two cores on which threads beyond them seem to help."""
    monkeypatch.setattr(kernels, "usable_cores", lambda: 2)
    seconds = {1: 1.0, 2: 0.5, 4: 0.3}
    asked = []

    def time_threads(step, counts):
        step()
        asked.append(counts)
        return [Timing(count, seconds[count]) for count in counts]

    monkeypatch.setattr(thread_choice, "time_threads", time_threads)
    return asked


def test_the_comparison_and_the_choice(command, two_cores):
    output = command("--preset", "nano", "--threads", 4, 1, 2, "--tokens", 300)
    assert two_cores == [[1, 2, 4]] * 2
    title, one, two, four, *_ = output.out.splitlines()
    assert title == "nano fp32, steps of 300 tokens"
    assert one.split() == "1 thread 1.000 s a step 300 tokens/s 1.00 x 1 thread".split()
    assert two.endswith("2.00 x 1 thread   chosen") and " 600 tokens/s" in two
    # more threads than cores are shown and never chosen
    assert four.endswith("3.33 x 1 thread   more than the 2 cores")
    assert "nano bf16, steps of 300 tokens" in output.out
    assert "warning" not in output.err


def test_json(command, two_cores):
    output = command("--preset", "nano", "--precision", "fp32", "--tokens", 64, "--json")
    (found,) = json.loads(output.out)["comparisons"]
    assert (found["preset"], found["precision"], found["chosen"]) == ("nano", "fp32", 2)
    assert [timing["threads"] for timing in found["timings"]] == [1, 2, 4]


def test_only_more_threads_than_cores_is_no_choice(command, two_cores):
    assert "chosen" not in command("--preset", "nano", "--threads", 4, "--tokens", 64).out


def test_for_real(command):
    before = kernels.get_num_threads()
    output = command("--preset", "nano", "--threads", 1, "--precision", "fp32", "--tokens", 64)
    assert output.out.count("chosen") == 1
    assert kernels.get_num_threads() == before


@pytest.mark.parametrize(
    ("bad", "says"),
    [(("--preset", "26m"), "--preset cannot be '26m': did you mean 25m?"),
     (("--threads", "0"), "must be between 1 and 256"),
     (("--threads", "1", "1"), "names a value twice"), (("--tokens", "0"), "--tokens must be"),
     (("--precision", "fp8"), "fp8"), (("--threads",), "--threads has no value")],
)  # fmt: skip
def test_bad_options(command, bad, says):
    output = command(*bad, status=2)
    assert output.out == "" and says in output.err and len(output.err.splitlines()) == 1
