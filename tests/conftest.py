"""Settings that all tests share."""

import atexit
import itertools
import os
import shutil
import signal
import tempfile

# Before NumPy is imported: its OpenBLAS would start a thread for each core, and a product wait
# for the one whose core another test has.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import hypothesis
import pytest

# A test runner started in the background ignores SIGINT, one under nohup SIGHUP, and so would
# every program that the tests start and signal.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

hypothesis.settings.register_profile("vidya", deadline=None, max_examples=25)
hypothesis.settings.register_profile("ci", parent=hypothesis.settings.get_profile("vidya"),
                                     derandomize=True, print_blob=True)  # fmt: skip
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "vidya")


CACHES = tempfile.mkdtemp(prefix="vidya-test-caches-")
"""Each test has a cache folder of its own in here, which is empty when it begins."""
CACHE = "VIDYA_CACHE"
os.environ[CACHE] = os.path.join(CACHES, "none")
atexit.register(shutil.rmtree, CACHES, ignore_errors=True)
_numbers = itertools.count()

FORCED = "VIDYA_AUTO_PRECISION"
NOT_MARKED = "tests that ask what auto means are marked auto_precision or either_precision"


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "extras: needs what `make test` does not install: `make test-extras` runs it"
    )
    config.addinivalue_line(
        "markers", "auto_precision: asks what --precision auto means: `make test` runs it once as "
        "it is here and once with auto forced to bf16"
    )  # fmt: skip
    config.addinivalue_line(
        "markers", "either_precision: runs what asks what --precision auto means, and shows "
        "nothing that the answer changes: auto is fp32, and it runs once"
    )  # fmt: skip


def pytest_ignore_collect(collection_path, config):
    """Leave out, not imported, the files that cannot have a test that is asked for."""
    named = {"auto_precision": ["mark.auto_precision"], "extras": ["(torch", "mark.extras"]}
    words = named.get(config.option.markexpr)
    if words is not None and collection_path.name.startswith("test_"):
        text = collection_path.read_text("utf-8")
        return not any(word in text for word in words) or None
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """A test that is not marked cannot ask what auto means, nor can what it starts.

    And none finds in the user's cache folder what another has left there, nor anything else.
    """
    before = os.environ.get(FORCED)
    os.environ[CACHE] = os.path.join(CACHES, str(next(_numbers)))
    if item.get_closest_marker("auto_precision") is None:
        either = item.get_closest_marker("either_precision") is not None
        os.environ[FORCED] = "fp32" if either else NOT_MARKED
    try:
        return (yield)
    finally:
        os.environ.pop(FORCED, None)
        if before is not None:
            os.environ[FORCED] = before


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
