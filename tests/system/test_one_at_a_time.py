"""Threads wait, a thread that would wait for itself is told, and a fork knows what it got."""

import os
import threading

import pytest

from vidya.errors import UserError
from vidya.system.one_at_a_time import OneAtATime


def in_child(work):
    """Exit status of a forked child that does some work: 0 where it returns True."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def is_refused(lock, saying):
    try:
        with lock:
            return False
    except UserError as error:
        return saying in str(error)


def test_threads_wait_for_each_other():
    lock, inside, most = OneAtATime("it"), [], []

    def work():
        for _ in range(200):
            with lock:
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 800 and set(most) == {1}


def test_a_thread_that_holds_it_is_told_and_goes_on():
    lock = OneAtATime("this model")
    with lock:
        with pytest.raises(UserError, match="this model is in the middle of another call"), lock:
            pass
        assert is_refused(lock, "of this thread")
    with lock:
        pass


def test_what_is_to_happen_soon_happens_when_nobody_holds_it():
    lock, done = OneAtATime("it"), []
    lock.soon(lambda: done.append("at once"))
    assert done == ["at once"]
    with lock:
        lock.soon(lambda: done.append("afterwards"))
        assert done == ["at once"]
    assert done == ["at once", "afterwards"]


def test_a_call_that_fails_leaves_the_lock_free():
    lock = OneAtATime("it")
    with pytest.raises(ZeroDivisionError):
        lock.soon(lambda: 1 / 0)
    with lock:
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_may_use_it_unless_another_thread_did_at_that_moment():
    free, held, released = OneAtATime("one"), OneAtATime("other"), threading.Event()
    entered = threading.Event()

    def hold():
        with held:
            entered.set()
            released.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait()

    def child():
        with free:
            return is_refused(held, "other was in use by another thread when this process was")

    status = in_child(child)
    released.set()
    thread.join()
    assert status == 0
    with held:  # the parent's is what it was
        pass
