"""The limit of open files is raised where it is too low, and told where it cannot be."""

import resource

import pytest

from vidya.errors import UserError
from vidya.system.open_files import allow_open_files


@pytest.fixture
def limits(monkeypatch):
    """The limits of a process: [soft, hard]; the real ones stay as they are."""
    limits = [256, 1024]

    def set_limits(_, wanted):
        if wanted[0] > limits[1]:
            raise ValueError("current limit exceeds maximum limit")
        limits[:] = wanted

    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", set_limits)
    return limits


def test_the_limit_is_raised_as_far_as_is_needed_and_never_lowered(limits):
    allow_open_files(100)
    assert limits == [256, 1024]
    allow_open_files(756)
    assert limits == [756, 1024]
    limits[0] = resource.RLIM_INFINITY
    allow_open_files(756)
    assert limits[0] == resource.RLIM_INFINITY


def test_a_hard_limit_that_is_too_low_is_told(limits):
    with pytest.raises(UserError, match=r"256 open files .* 2000 are needed: .*ulimit -n 2000"):
        allow_open_files(2000)
