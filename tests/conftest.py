"""Settings that all tests share."""

import os
import signal

# Before NumPy is imported: its OpenBLAS would start a thread for each core, and a product wait
# for the one whose core another test has.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import hypothesis
import pytest

# A test runner started in the background ignores SIGINT, and so would every program
# that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

hypothesis.settings.register_profile("vidya", deadline=None, max_examples=25)
hypothesis.settings.register_profile("ci", parent=hypothesis.settings.get_profile("vidya"),
                                     derandomize=True, print_blob=True)  # fmt: skip
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "vidya")


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "extras: needs what `make test` does not install: `make test-extras` runs it"
    )


@pytest.hookimpl(tryfirst=True)  # before it is decided which markers are run
def pytest_collection_modifyitems(items):
    for item in items:
        if "torch" in item.fixturenames:
            item.add_marker(pytest.mark.extras)


@pytest.fixture
def torch():
    """PyTorch, to compare with; what asks for it is run by `make test-extras`."""
    import torch

    torch.set_num_threads(1)  # the tensors are too small to share
    return torch


@pytest.fixture
def kernel_settings():
    """Puts the thread count and the instruction set back afterwards."""
    from vidya import kernels

    threads, isa = kernels.get_num_threads(), kernels.get_isa()
    yield
    kernels.set_num_threads(threads)
    kernels.set_isa(isa)
