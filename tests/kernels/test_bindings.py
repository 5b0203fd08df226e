"""What holds for every kernel: threads, instruction sets, concurrency, fork."""

import os
import platform
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from support.reference.cases import BY_NAME, CASES, LARGE, ODD, ONE_ROW, TINY, Size
from support.reference.check import DTYPES, ISAS, assert_close, use_isa

from vidya import kernels

pytestmark = pytest.mark.usefixtures("kernel_settings")
every_case = pytest.mark.parametrize("name", BY_NAME)
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


def same(ours, wanted):
    """Bit for bit, NaN included."""
    return all(a.tobytes() == b.tobytes() for a, b in zip(ours, wanted, strict=True))


def assert_agrees(case, arguments):
    """The kernel's outputs, which agree with the reference."""
    ours = case.run(arguments)
    for array, wanted, floor in zip(ours, case.reference(arguments), case.floors, strict=False):
        assert_close(array, wanted, floor=floor)
    return ours


# ---- against the reference, and the same for any number of threads ----------


@both_dtypes
@every_case
def test_agrees_with_the_reference_and_for_any_number_of_threads(name, dtype):
    case = BY_NAME[name]
    for size in (TINY, ODD, LARGE, ONE_ROW):
        arguments = case.draw(size, dtype)
        kernels.set_num_threads(1)
        alone = assert_agrees(case, arguments)
        for threads in (2, 3, 4):
            kernels.set_num_threads(threads)
            assert same(case.run(arguments), alone), f"differs with {threads} threads"


@every_case
def test_repeats_itself(name):
    """Called again and again while the pool's threads race, the numbers stay."""
    case = BY_NAME[name]
    arguments = case.draw(ODD, np.float32)
    kernels.set_num_threads(4)
    first = case.run(arguments)
    for _ in range(20):
        assert same(case.run(arguments), first)


# ---- instruction sets -------------------------------------------------------


@pytest.mark.parametrize("isa", ISAS)
@both_dtypes
@every_case
def test_every_instruction_set_agrees_with_the_reference(name, dtype, isa):
    use_isa(isa)
    case = BY_NAME[name]
    for size in (TINY, ODD, Size(T=65, H=1, hd=34, V=17), Size(T=129, H=2, hd=64, V=300)):
        assert_agrees(case, case.draw(size, dtype))


@pytest.mark.parametrize("isa", ISAS)
def test_instruction_set_is_the_one_that_was_set(isa):
    use_isa(isa)
    assert kernels.get_isa() == isa


def test_generic_is_always_there_and_an_unknown_one_changes_nothing():
    kernels.set_isa("generic")
    with pytest.raises(ValueError, match="sse9"):
        kernels.set_isa("sse9")
    assert kernels.get_isa() == "generic"


@pytest.mark.parametrize("isa", ISAS)
def test_masks_do_not_depend_on_the_instruction_set(isa):
    x = np.ones(1000, np.float32)
    kernels.set_isa("generic")
    expected = kernels.dropout_add(None, x, 0.3, 5, 6)
    use_isa(isa)
    assert np.array_equal(kernels.dropout_add(None, x, 0.3, 5, 6), expected)


# ---- numbers below the normal ones ------------------------------------------


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "aarch64"), reason="a processor without such a mode"
)
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("isa", ISAS)
def test_subnormal_numbers_count_as_zero_in_kernels_and_nowhere_else(isa, threads):
    use_isa(isa)
    kernels.set_num_threads(threads)
    x = np.full(300_000, 1e-39, np.float32)
    assert not kernels.dropout_add(None, x, 0.3, 5, 6).any()
    assert (x * np.float32(0.5)).all(), "the caller's own arithmetic has changed"


# ---- thread counts ----------------------------------------------------------


def test_thread_count_is_what_was_set():
    for n in (1, 2, 3, 256, 1):
        kernels.set_num_threads(n)
        assert kernels.get_num_threads() == n
    for bad in (0, -1, 257):
        with pytest.raises(ValueError):
            kernels.set_num_threads(bad)
    assert kernels.get_num_threads() == 1


def test_far_more_threads_than_cores_and_back():
    case = BY_NAME["gelu"]
    arguments = case.draw(LARGE, np.float32)
    kernels.set_num_threads(1)
    alone = case.run(arguments)
    for threads in (64, 256, 2, 256, 1, 5):
        kernels.set_num_threads(threads)
        assert same(case.run(arguments), alone)


def test_openblas_threads_are_set_back_by_a_product():
    before = kernels.openblas_get_num_threads()
    kernels.openblas_set_num_threads(2)
    assert kernels.openblas_get_num_threads() == 2
    assert_agrees(BY_NAME["matmul"], BY_NAME["matmul"].draw(ODD, np.float32))
    assert kernels.openblas_get_num_threads() == 1
    kernels.openblas_set_num_threads(before)


def test_usable_cores_is_within_what_the_system_allows():
    assert 1 <= kernels.usable_cores() <= (os.cpu_count() or 1)


# ---- several Python threads -------------------------------------------------


@pytest.mark.parametrize("pool_threads", [1, 3])
def test_calls_from_several_python_threads_at_once(pool_threads):
    kernels.set_num_threads(1)
    calls = [(case, case.draw(ODD, np.float32)) for case in CASES]
    for name in ("matmul", "gelu", "attention_backward"):
        calls.append((BY_NAME[name], BY_NAME[name].draw(LARGE, np.float32)))
    calls = [(case, arguments, case.run(arguments)) for case, arguments in calls]
    kernels.set_num_threads(pool_threads)
    start = threading.Barrier(4)

    def work(index):
        start.wait()
        for _ in range(3):
            # every thread begins with another kernel
            for case, arguments, alone in calls[5 * index :] + calls[: 5 * index]:
                assert same(case.run(arguments), alone), case.name

    with ThreadPoolExecutor(4) as executor:
        for future in [executor.submit(work, index) for index in range(4)]:
            future.result()


def test_the_thread_count_may_change_while_kernels_run():
    kernels.set_num_threads(1)
    case = BY_NAME["matmul"]
    arguments = case.draw(ODD, np.float32)
    alone = case.run(arguments)
    done = threading.Event()

    def change():
        n = 0
        while not done.is_set():
            n += 1
            kernels.set_num_threads(1 + n % 4)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        for _ in range(300):
            assert same(case.run(arguments), alone)
    finally:
        done.set()
        changer.join()


def test_calls_release_the_gil():
    """While one long call runs, another Python thread goes on counting."""
    kernels.set_num_threads(1)
    qkv, offsets = np.ones((3000, 3 * 128), np.float32), np.array([0, 3000])
    counted, done = [0], threading.Event()

    def count():
        while not done.is_set():
            counted[0] += 1
            time.sleep(1e-4)  # gives the GIL back by itself

    counter = threading.Thread(target=count)
    interval = sys.getswitchinterval()
    # Nobody is made to give the GIL up: the counter runs only while a call has let go of it.
    sys.setswitchinterval(1000)
    try:
        counter.start()
        before = counted[0]
        kernels.attention(qkv, offsets, 4)
        during = counted[0] - before
    finally:
        done.set()
        sys.setswitchinterval(interval)
        counter.join()
    assert during > 3


# ---- fork -------------------------------------------------------------------

FORK = """
import os, sys, threading
sys.path.insert(0, {tests!r})
import platform

import numpy as np
from support.reference.cases import CASES, ODD, LARGE, BY_NAME
from vidya import kernels

def results():
    return [array.tobytes() for case, arguments in calls for array in case.run(arguments)]

calls = [(case, case.draw(ODD, np.float32)) for case in CASES]
calls += [(BY_NAME[name], BY_NAME[name].draw(LARGE, np.float32)) for name in ("gelu", "matmul")]

kernels.set_num_threads(1)
wanted = results()
kernels.set_num_threads({threads})
if {warm}:
    assert results() == wanted

busy = threading.Event()
if {in_use}:  # fork while another thread is inside the pool
    def work():
        x = np.ones(3_000_000, np.float32)
        while not busy.is_set():
            kernels.gelu(x)
    worker = threading.Thread(target=work)
    worker.start()

for attempt in range(3):
    child = os.fork()
    if child == 0:
        grandchild = os.fork()
        right = results() == wanted and kernels.get_num_threads() == {threads}
        if os.path.isdir("/proc/self/task"):  # the child has started a pool of its own
            right = right and len(os.listdir("/proc/self/task")) >= {threads}
        for n in (5, 1, {threads}):  # the parent's threads are not here to be ended
            kernels.set_num_threads(n)
            right = right and results() == wanted
        if grandchild == 0:
            os._exit(0 if right else 3)
        _, status = os.waitpid(grandchild, 0)
        os._exit(0 if right and status == 0 else 4)
    if not {in_use}:
        assert results() == wanted
    _, status = os.waitpid(child, 0)
    assert status == 0, status
busy.set()
assert results() == wanted
print("same")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("warm", "in_use"), [(False, False), (True, False), (True, True)])
def test_kernels_work_after_fork(threads, warm, in_use):
    """In the child, its child, and the parent; before and after the pool has started."""
    code = FORK.format(
        tests=str(Path(__file__).parents[1]), threads=threads, warm=warm, in_use=in_use
    )
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "same\n"
