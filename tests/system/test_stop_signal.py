"""Signals that are noted and acted on later."""

import os
import signal

from vidya.system.stop_signal import interrupts


def test_interrupts_are_only_noted():
    before = signal.getsignal(signal.SIGINT)
    with interrupts() as stopped:
        assert not stopped()
        os.kill(os.getpid(), signal.SIGINT)
        assert stopped()
    assert signal.getsignal(signal.SIGINT) is before
