"""Signals that are noted and acted on later."""

import os
import signal
import threading

import pytest

from vidya.system.stop_signal import StopSignal, interrupts


def test_interrupts_are_only_noted():
    before = signal.getsignal(signal.SIGINT)
    with interrupts() as stopped:
        assert not stopped()
        os.kill(os.getpid(), signal.SIGINT)
        assert stopped()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_signal_is_remembered(number):
    stop = StopSignal()
    with stop.watching():
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop() and stop.signal == number


def test_only_ctrl_c_as_the_second_one_interrupts_at_once():
    """A terminal that closes sends SIGHUP, and so does the shell in it."""
    stop = StopSignal()
    with stop.watching():
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signal == signal.SIGHUP
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_outside_the_main_thread_signals_are_left_alone():
    """As in a notebook's or a server's threads, which may not handle them."""
    failed, stop = [], StopSignal()

    def work():
        try:
            with stop.watching():
                pass
        except ValueError as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not failed
